"""Model files, manifest and self-test become an artifact folder."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.packaging.described_files import Told, checked_outputs, model_file, point_head_file
from converters.packaging.description import Description
from converters.packaging.four_outputs import POSTPROCESS, before_post_process, four_told, with_post_process
from converters.packaging.integer_only import require_integer_only
from converters.packaging.metadata import with_metadata
from converters.packaging.stored_weights import onnx_with_stored_weights, tflite_with_stored_weights
from converters.passes.layout.nhwc import to_nhwc
from converters.passes.legalize import legalize
from converters.passes.tie_parameters import tie_parameters
from converters.passes.uint8_boundaries import uint8_boundaries
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    SELFTEST_NAME,
    Artifact,
    Cost,
    Manifest,
    Selftest,
    manifest_json,
    open_artifact,
)
from edge.artifact.model_file import ModelFile
from edge.artifact.point_head import PointHeadFiles
from edge.errors import ArtifactError, UsageError
from edge.files.atomic import check_folder_writable, put, replacing_folder
from edge.files.bounded_file import is_file
from edge.files.overwriting import foreign_entries, refuse_inputs
from edge.graph.analyses.counts import cost_of
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite

Precision = Literal["int8", "int16x8", "float32"]
MODEL_FILES = ("model.tflite", "model.onnx", "source.onnx")
POINT_HEAD_FILES = ("point_head.tflite", "point_head.onnx", "point_head_source.onnx")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The model files of an artifact.

    Attributes:
        precision: of the files.
        contents: file name -> bytes; files: their manifest entries.
        cost: multiply-adds and parameters of the network, bytes of the TFLite file, or of the only one.
    """

    precision: Precision
    contents: Mapping[str, bytes]
    files: tuple[ModelFile, ...]
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class ModelFiles(Contents):
    """Model files that were written here.

    Attributes:
        graph: what the source file holds, read back from it (NCHW).
        head: the files of the point head, and `graph` theirs; None where there is none.
    """

    graph: Graph
    head: "ModelFiles | None" = None


def precision_of(graph: Graph) -> Precision:
    """`int16x8` or `int8` when any activation of the graph is quantized, else `float32`.

    A graph whose inputs are 8-bit is `int8`, also where it computes over int16 further on.
    """
    names = [*graph.inputs, *(name for operator in graph.operators for name in operator.outputs)]
    dtypes = {graph.tensors[name].dtype for name in names if graph.tensors[name].quantization is not None}
    if not dtypes:
        return "float32"
    given = {graph.tensors[name].dtype for name in graph.inputs if graph.tensors[name].quantization is not None}
    return "int16x8" if "int16" in dtypes and not given & {"int8", "uint8"} else "int8"


def write_model_files(graph: Graph, description: Description, *, allow_float: frozenset[str]) -> ModelFiles:
    """Write a graph as ONNX, read it back, and write the files for devices from what was read.

    Args:
        graph: NCHW; int8 weights with int8 or int16 activations, or float32. ONNX Runtime has no integer kernels
            for int16: there the source is the file that runs, in float between its roundings.
        allow_float: kinds of operators that may stay in float in an integer file.

    Raises:
        UnsupportedError: an operator would stay in float and is not allowed to; or cannot be written.
        UsageError: the model is none that a predictor could predict with; see `checked_outputs`.
    """
    precision = precision_of(graph)
    source = onnx_bytes(legalize(tie_parameters(graph)))
    if description.weights is not None:
        if precision != "float32":
            raise UsageError(f"--weights {description.weights} is for float models; this one is {precision}")
        source = onnx_with_stored_weights(source, description.weights)
    read = read_onnx(source)
    outputs = checked_outputs(read, description)
    nhwc = to_nhwc(read, keep_nchw_io=description.keep_nchw_io)
    if precision != "float32":
        require_integer_only(nhwc, allowed=allow_float)
    selects, in_file = description.head == POSTPROCESS, outputs
    if description.keep_nchw_io and (selects or description.io == "uint8"):
        option = f"--head {POSTPROCESS}" if selects else "--io uint8"
        raise UsageError(f"{option} is for task libraries, which feed NHWC; omit --keep-nchw-io")
    if selects:
        nhwc = before_post_process(nhwc, description.preprocess, outputs[-1].scores)
    elif description.io == "uint8":
        nhwc = uint8_boundaries(nhwc, description.preprocess)
    tflite = tflite_bytes(nhwc, description=f"edge-deploy {precision}")
    if description.weights is not None:
        tflite = tflite_with_stored_weights(tflite, description.weights)
    if selects and description.detection is not None:
        tflite = with_post_process(tflite, description.detection, len(description.labels.names))
        in_file = four_told(description.detection.most)
    tflite = described(tflite, description, in_file)
    contents = {"model.tflite": tflite, "model.onnx": source}
    if precision == "int8":
        contents = {"model.tflite": tflite, "model.onnx": onnxruntime_form(read), "source.onnx": source}
    in_tflite = read_tflite(tflite)
    graphs = {"model.tflite": in_tflite, "source.onnx": read}
    graphs["model.onnx"] = read_onnx(contents["model.onnx"]) if precision == "int8" else read
    files = tuple(
        model_file(name, data, graphs[name], description, in_file if name == "model.tflite" else outputs)
        for name, data in contents.items()
    )
    cost = written_cost(nhwc, in_tflite)
    written = ModelFiles(precision=precision, contents=contents, files=files, graph=read, cost=cost)
    if description.point_head is None:
        return written
    return replace(written, head=_head_files(description, allow_float))


def _head_files(description: Description, allow_float: frozenset[str]) -> ModelFiles:
    """The files of a point head, written as those of the network are."""
    assert description.point_head is not None  # asked by the caller
    if description.io is not None or description.keep_nchw_io or description.weights is not None:
        raise UsageError("--io, --keep-nchw-io and --weights are for models of one file; a point head is a second one")
    graph = description.point_head.graph
    precision = precision_of(graph)
    source = onnx_bytes(legalize(tie_parameters(graph)))
    read = read_onnx(source)
    nhwc = to_nhwc(read)
    if precision != "float32":
        require_integer_only(nhwc, allowed=allow_float)
    contents = {"point_head.tflite": tflite_bytes(nhwc, description=f"edge-deploy point head {precision}")}
    contents["point_head.onnx"] = onnxruntime_form(read) if precision == "int8" else source
    if precision == "int8":
        contents["point_head_source.onnx"] = source
    files = tuple(point_head_file(name, data) for name, data in contents.items())
    cost = written_cost(nhwc, read_tflite(contents["point_head.tflite"]))
    return ModelFiles(precision=precision, contents=contents, files=files, graph=read, cost=cost)


def written_cost(network: Graph, file: Graph) -> Cost:
    """Multiply-adds and parameters of a network; bytes, and operators without a rule, of the file written of it.

    A file may multiply zeros that are none of the network's weights (`converters.tflite.banded_convolution`).
    """
    counted = cost_of(network)
    own = {"multiply_adds": counted.multiply_adds, "parameters": counted.parameters}
    return cost_of(file).model_copy(update=own)


def described(tflite: bytes, description: Description, outputs: Told) -> bytes:
    """The file with metadata in it, where a task library can read it. Refuses (UsageError) names it cannot hold.

    Args:
        outputs: what they mean; see `checked_outputs`.
    """
    entry = model_file("model.tflite", tflite, read_tflite(tflite), description, outputs)
    if not description.labels.names or description.keep_nchw_io or description.point_head is not None:
        return tflite  # no task library reads two outputs of a segmenter
    return with_metadata(
        tflite,
        task=description.task,
        preprocess=description.preprocess,
        labels=description.labels,
        given=entry.inputs[0],
        outputs=entry.outputs,
        detection=description.detection,
    )


def refuse_other_folder(folder: Path, *inputs: Path | None) -> None:
    """Refuse to take the place of anything but an artifact or an empty folder: nothing is lost.

    Raises:
        ArtifactError: the folder holds something else. UsageError: it is, or holds, one of the inputs. FileError: it
            could not be written.
    """
    known = {MANIFEST_NAME, SELFTEST_NAME, *MODEL_FILES, *POINT_HEAD_FILES}
    if foreign_entries(folder, ()) and not is_file(folder / MANIFEST_NAME):
        raise ArtifactError(folder, f"holds other files and no {MANIFEST_NAME}; choose a new folder for the artifact")
    if foreign := foreign_entries(folder, known):
        raise ArtifactError(folder, f"holds '{foreign[0]}' beside an artifact; choose a new folder, or move it away")
    refuse_inputs("-o", folder, *inputs, folder=True)
    check_folder_writable(folder)


def write_artifact(
    folder: Path,
    written: Contents,
    description: Description,
    *,
    selftest: bytes,
    allowed: Mapping[str, Mapping[str, float]],
) -> Artifact:
    """Write the artifact folder whole and open it again, hashes checked. An older artifact there is replaced.

    Raises:
        ArtifactError: the folder holds anything but an artifact.
        FileError: the file system refuses.
    """
    refuse_other_folder(folder)
    samples = int(np.load(io.BytesIO(selftest), allow_pickle=False)["images"].shape[0])
    head = written.head if isinstance(written, ModelFiles) else None
    contents = {**written.contents, **({} if head is None else head.contents)}
    point_head = None
    if head is not None and description.point_head is not None:
        point_head = PointHeadFiles(steps=description.point_head.steps, files=head.files)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=description.name,
        task=description.task,
        head=description.head,
        precision=written.precision,
        files=written.files,
        preprocess=description.preprocess,
        labels=description.labels,
        detection=description.detection,
        point_head=point_head,
        quantization=description.quantization,
        cost=written.cost,
        provenance=description.provenance,
        selftest=Selftest(
            sha256=hashlib.sha256(selftest).hexdigest(),
            samples=samples,
            allowed={name: dict(bounds) for name, bounds in allowed.items()},
        ),
    )
    with replacing_folder(folder) as temporary:
        for name, data in contents.items():
            put(temporary / name, data)
        put(temporary / SELFTEST_NAME, selftest)
        put(temporary / MANIFEST_NAME, manifest_json(manifest).encode())
    return open_artifact(folder)
