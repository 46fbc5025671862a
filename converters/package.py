"""Model files, manifest and self-test become an artifact folder."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from converters.integer_only import require_integer_only
from converters.metadata import with_metadata
from converters.onnx_file import onnx_bytes
from converters.onnx_passes.layout import to_nhwc
from converters.onnx_passes.lower_integer import lower_integer
from converters.onnx_passes.uint8_boundaries import uint8_boundaries
from converters.onnxruntime_form import onnxruntime_form
from converters.stored_weights import Form, onnx_with_stored_weights, tflite_with_stored_weights
from converters.tflite.writer import tflite_bytes
from edge.artifact import (
    MANIFEST_NAME,
    SELFTEST_NAME,
    Artifact,
    Cost,
    Labels,
    Manifest,
    ModelFile,
    Provenance,
    QuantizationInfo,
    Selftest,
    Task,
    TensorInfo,
    manifest_json,
    open_artifact,
)
from edge.atomic import check_folder_writable, put, replacing_folder
from edge.errors import ArtifactError, UsageError
from edge.graph.counts import cost_of
from edge.graph.graph import Graph, Layout, Tensor
from edge.graph.onnx import read_onnx
from edge.graph.tflite import read_tflite
from edge.overwriting import foreign_entries, refuse_inputs
from edge.vision.preprocess import Preprocess

Precision = Literal["int8", "int16x8", "float32"]
LAYOUTS = {2: "nc", 3: "nhw"}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a graph cannot say about itself.

    Attributes:
        head: what a segmenter ends in; None for other tasks.
        quantization: how its integers came to be, for the manifest.
        io: `uint8` gives the INT8 TFLite file pixels as its input and uint8 outputs, see `uint8_boundaries`.
        keep_nchw_io: the TFLite file's rank-4 inputs and outputs stay NCHW.
        weights: how a float model's weights are stored; None: float32.
    """

    name: str
    task: Task
    head: Literal["logits", "full_logits", "class_map", "full"] | None
    preprocess: Preprocess
    labels: Labels
    quantization: QuantizationInfo
    provenance: Provenance
    io: Literal["uint8"] | None = None
    keep_nchw_io: bool = False
    weights: Form | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """The written model files and what they hold.

    Attributes:
        precision: of the files.
        contents: file name -> bytes; files: their manifest entries.
        graph: the graph that the source file holds, read back from it (NCHW).
        cost: counted from the TFLite file.
    """

    precision: Precision
    contents: Mapping[str, bytes]
    files: tuple[ModelFile, ...]
    graph: Graph
    cost: Cost


def precision_of(graph: Graph) -> Precision:
    """`int16x8` or `int8` when any activation of the graph is quantized, else `float32`."""
    names = [*graph.inputs, *(name for operator in graph.operators for name in operator.outputs)]
    dtypes = {graph.tensors[name].dtype for name in names if graph.tensors[name].quantization is not None}
    if not dtypes:
        return "float32"
    return "int16x8" if "int16" in dtypes else "int8"


def write_model_files(graph: Graph, description: Description, *, allow_float: frozenset[str]) -> ModelFiles:
    """Write a graph as ONNX, read it back, and write the files for devices from what was read.

    Args:
        graph: NCHW; int8 weights with int8 or int16 activations, or float32. ONNX Runtime has no integer kernels
            for int16: there the source is the file that runs, in float between its roundings.
        allow_float: kinds of operators that may stay in float in an integer file.

    Raises:
        UnsupportedError: an operator would stay in float and is not allowed to; or cannot be written.
        UsageError: the class names are not as many as the scores, or the task is not the model's.
    """
    precision = precision_of(graph)
    source = onnx_bytes(lower_integer(graph))
    if description.weights is not None:
        if precision != "float32":
            raise UsageError(f"--weights {description.weights} is for float models; this one is {precision}")
        source = onnx_with_stored_weights(source, description.weights)
    read = read_onnx(source)
    nhwc = to_nhwc(read, keep_nchw_io=description.keep_nchw_io)
    if precision != "float32":
        require_integer_only(nhwc, allowed=allow_float)
    if description.io == "uint8" and description.keep_nchw_io:
        raise UsageError("--io uint8 is for task libraries, which feed NHWC; leave out --keep-nchw-io")
    if description.io == "uint8":
        nhwc = uint8_boundaries(nhwc, description.preprocess)
    tflite = tflite_bytes(nhwc, description=f"edge-deploy {precision}")
    if description.weights is not None:
        tflite = tflite_with_stored_weights(tflite, description.weights)
    tflite = described(tflite, description)
    contents = {"model.tflite": tflite, "model.onnx": source}
    if precision == "int8":
        contents = {"model.tflite": tflite, "model.onnx": onnxruntime_form(read), "source.onnx": source}
    in_tflite = read_tflite(tflite)
    graphs = {"model.tflite": in_tflite, "source.onnx": read}
    graphs["model.onnx"] = read_onnx(contents["model.onnx"]) if precision == "int8" else read
    files = tuple(model_file(name, data, graphs[name], description) for name, data in contents.items())
    return ModelFiles(precision=precision, contents=contents, files=files, graph=read, cost=cost_of(in_tflite))


def described(tflite: bytes, description: Description) -> bytes:
    """The file with metadata in it. Refuses (UsageError) class names that do not fit the scores, or a label file."""
    entry = model_file("model.tflite", tflite, read_tflite(tflite), description)
    _check_labels(entry, description)
    if len(entry.inputs) != 1 or len(entry.outputs) != 1 or not description.labels.names or description.keep_nchw_io:
        return tflite  # the task libraries that read it feed one NHWC image
    return with_metadata(
        tflite,
        task=description.task,
        preprocess=description.preprocess,
        labels=description.labels,
        given=entry.inputs[0],
        answer=entry.outputs[0],
    )


def _check_labels(tflite: ModelFile, description: Description) -> None:
    """Refuse (UsageError) class names that are not as many as the model's scores, and scores of another task."""
    scores = tflite.outputs[0]
    if description.task == "segment" and scores.layout == "nc":
        raise UsageError(f"task 'segment' for a model whose output is {scores.shape}, the scores of a classifier")
    count = scores.shape[1] if scores.layout == "nchw" else scores.shape[-1]
    if scores.meaning in ("logits", "probabilities") and count != len(description.labels.names):
        raise UsageError(
            f"{len(description.labels.names)} class names for a model with {count} scores; "
            "names come from the card, or from the labelled split that a checkpoint was trained or evaluated on"
        )


def model_file(name: str, data: bytes, graph: Graph, description: Description) -> ModelFile:
    """The manifest's entry for a file's bytes and their graph."""
    onnx = name.endswith(".onnx")
    layout: Layout = "nchw" if onnx or description.keep_nchw_io else "nhwc"
    return ModelFile(
        path=name,
        format="onnx" if onnx else "tflite",
        role="source" if name == "source.onnx" else "run",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        format_version=_opset(data) if onnx else 3,
        inputs=tuple(_tensor_info(graph.tensors[tensor], layout, "image", None) for tensor in graph.inputs),
        outputs=tuple(_output_info(graph, tensor, layout, description) for tensor in graph.outputs),
    )


def _opset(data: bytes) -> int:
    import onnx

    model = onnx.load_from_string(data)
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def _output_info(graph: Graph, name: str, layout: Layout, description: Description) -> TensorInfo:
    producer = graph.producer(name)
    while producer is not None and producer.kind in ("Quantize", "Transpose"):
        producer = graph.producer(producer.inputs[0])
    if description.head in ("class_map", "full"):
        meaning = "class_map"
    else:
        meaning = "probabilities" if producer is not None and producer.kind == "Softmax" else "logits"
    stride = None
    if description.task == "segment" and len(graph.tensors[name].shape) > 2:
        # (n, h, w) class maps and NHWC logits have the height at axis 1, NCHW logits at axis 2
        shape = graph.tensors[name].shape
        rows = shape[2] if layout == "nchw" and len(shape) == 4 else shape[1]
        stride = round(description.preprocess.height / rows)
    return _tensor_info(graph.tensors[name], layout, meaning, stride)


def _tensor_info(tensor: Tensor, layout: Layout, meaning: Any, stride: int | None) -> TensorInfo:
    quantization = tensor.quantization
    dtype: Any = tensor.dtype
    return TensorInfo(
        name=tensor.name,
        shape=tensor.shape,
        dtype=dtype,
        layout=layout if len(tensor.shape) == 4 else LAYOUTS.get(len(tensor.shape), "flat"),
        meaning=meaning,
        scale=None if quantization is None else float(quantization.scale[0]),
        zero_point=None if quantization is None else int(quantization.zero_point[0]),
        stride=stride,
    )


def selftest_bytes(images: npt.NDArray[np.uint8], expected: Mapping[str, list[npt.NDArray[Any]]]) -> bytes:
    """selftest.npz: `images` uint8 (n, h, w, 3) as `resize` returns them, and `output_FILE_K` per file and output."""
    arrays = {f"output_{name}_{k}": array for name, outputs in expected.items() for k, array in enumerate(outputs)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, images=images, **arrays)
    return buffer.getvalue()


def refuse_other_folder(folder: Path, *inputs: Path | None) -> None:
    """Refuse to take the place of anything but an artifact or an empty folder: nothing is lost.

    Raises:
        ArtifactError: the folder holds something else. UsageError: it is, or holds, one of the inputs. FileError: it
            could not be written.
    """
    known = {MANIFEST_NAME, SELFTEST_NAME, "model.tflite", "model.onnx", "source.onnx"}
    if foreign_entries(folder, ()) and not (folder / MANIFEST_NAME).is_file():
        raise ArtifactError(folder, f"holds other files and no {MANIFEST_NAME}; choose a new folder for the artifact")
    if foreign := foreign_entries(folder, known):
        raise ArtifactError(folder, f"holds '{foreign[0]}' beside an artifact; choose a new folder, or move it away")
    refuse_inputs("-o", folder, *inputs, folder=True)
    check_folder_writable(folder)


def write_artifact(
    folder: Path,
    written: ModelFiles,
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
    manifest = Manifest(
        schema_version=1,
        name=description.name,
        task=description.task,
        head=description.head,
        precision=written.precision,
        files=written.files,
        preprocess=description.preprocess,
        labels=description.labels,
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
        for name, data in written.contents.items():
            put(temporary / name, data)
        put(temporary / SELFTEST_NAME, selftest)
        put(temporary / MANIFEST_NAME, manifest_json(manifest).encode())
    return open_artifact(folder)
