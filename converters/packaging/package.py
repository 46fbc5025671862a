"""Model files, manifest and self-test become an artifact folder."""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.packaging.finished_detector import ANCHORED
from converters.packaging.finished_detector import Told as BoxOutput
from converters.packaging.four_outputs import POSTPROCESS, before_post_process, four_told, with_post_process
from converters.packaging.integer_only import require_integer_only
from converters.packaging.metadata import with_metadata
from converters.packaging.output_meaning import NOTHING_SAID, WAY_OUT, Said, output_meaning
from converters.packaging.point_head import PointHeadGraph
from converters.packaging.stored_weights import Form, onnx_with_stored_weights, tflite_with_stored_weights
from converters.passes.layout.nhwc import to_nhwc
from converters.passes.legalize import legalize
from converters.passes.tie_parameters import tie_parameters
from converters.passes.uint8_boundaries import uint8_boundaries
from converters.tflite.writer import tflite_bytes
from edge.artifact.detection import Detection, detection_problem
from edge.artifact.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    SELFTEST_NAME,
    Artifact,
    Cost,
    Head,
    Manifest,
    Provenance,
    QuantizationInfo,
    Selftest,
    Task,
    manifest_json,
    open_artifact,
)
from edge.artifact.model_file import Labels, ModelFile, TensorInfo
from edge.artifact.output_form import OUTPUT_FORMS, class_map_problem, form_problem, score_count, shape_problem
from edge.artifact.point_head import FEATURES, GIVEN, PointHeadFiles
from edge.errors import ArtifactError, UsageError
from edge.files.atomic import check_folder_writable, put, replacing_folder
from edge.files.bounded_file import is_file
from edge.files.overwriting import foreign_entries, refuse_inputs
from edge.graph.analyses.counts import cost_of
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph, Layout, Tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.vision.preprocess import Preprocess

Precision = Literal["int8", "int16x8", "float32"]
LAYOUTS = {2: "nc", 3: "nhw"}
Told = tuple[TensorInfo, ...]
"""What every output means, in their order."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a graph cannot say about itself.

    Attributes:
        head: what a segmenter or a detector ends in; None for other tasks.
        detection: how a detector's outputs become boxes; None for other tasks.
        point_head: of a segmenter whose uncertain points a second file predicts again.
        box_outputs: what each output of a foreign detector means, in their order; None: box codes, then scores.
        quantization: how its integers came to be, for the manifest.
        io: `uint8` gives the INT8 TFLite file pixels as its input and uint8 outputs, see `uint8_boundaries`.
        keep_nchw_io: the TFLite file's rank-4 inputs and outputs stay NCHW.
        weights: how a float model's weights are stored; None: float32.
        said: what is known of its scores.
    """

    name: str
    task: Task
    head: Head | None
    preprocess: Preprocess
    labels: Labels
    quantization: QuantizationInfo
    provenance: Provenance
    io: Literal["uint8"] | None = None
    keep_nchw_io: bool = False
    weights: Form | None = None
    said: Said = NOTHING_SAID
    detection: Detection | None = None
    box_outputs: tuple[BoxOutput, ...] | None = None
    point_head: PointHeadGraph | None = None


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
    files = tuple(_head_file(name, data) for name, data in contents.items())
    cost = written_cost(nhwc, read_tflite(contents["point_head.tflite"]))
    return ModelFiles(precision=precision, contents=contents, files=files, graph=read, cost=cost)


def _head_file(name: str, data: bytes) -> ModelFile:
    onnx = name.endswith(".onnx")
    graph = read_onnx(data) if onnx else read_tflite(data)
    layout: Layout = "nchw" if onnx else "nhwc"
    entry = _tensor_info(graph.tensors[graph.outputs[0]], layout, "logits", None)
    return ModelFile(
        path=name,
        format="onnx" if onnx else "tflite",
        role="source" if name.endswith("_source.onnx") else "run",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        format_version=_opset(data) if onnx else 3,
        inputs=(_tensor_info(graph.tensors[graph.inputs[0]], layout, GIVEN, None),),
        outputs=(entry.model_copy(update={"scores": "exclusive"}),),
    )


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


def checked_outputs(graph: Graph, description: Description) -> Told:
    """What the outputs of an NCHW graph mean, held to the task before anything is written.

    Raises:
        UsageError: several inputs, or outputs of another number than the task's or none of the task's, class names that
            are not as many as the scores, or scores of which nothing says what they are.
    """
    return CHECKS[description.task](graph, description)


def _box_heads(graph: Graph, description: Description) -> Told:
    """A detector's outputs: what its card says, or box codes and scores."""
    if description.box_outputs is not None:
        return _checked_boxes(graph, description, description.box_outputs)
    if len(graph.inputs) != 1 or len(graph.outputs) != 2:
        raise UsageError(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs ({', '.join(graph.outputs)}); a detector has "
            f"one input, and two outputs, box codes and scores; {WAY_OUT}"
        )
    said = description.said
    codes = BoxOutput(meaning="box_codes", layout=ANCHORED)
    scores = BoxOutput(meaning=said.values or "logits", layout=ANCHORED, scores=said.scores)
    return _checked_boxes(graph, description, (codes, scores))


def _checked_boxes(graph: Graph, description: Description, outputs: tuple[BoxOutput, ...]) -> Told:
    told = tuple(
        _tensor_info(graph.tensors[name], "nchw", output.meaning, None).model_copy(
            update={"layout": output.layout, "scores": output.scores}
        )
        for name, output in zip(graph.outputs, outputs, strict=True)
    )
    if problem := detection_problem(description.detection, len(description.labels.names), told):
        raise UsageError(f"{problem}; {WAY_OUT}")
    return told


def _one_output(graph: Graph, description: Description) -> Told:
    task, names = description.task, len(description.labels.names)
    wanted = 1 if description.point_head is None else 2
    if len(graph.inputs) != 1 or len(graph.outputs) != wanted:
        raise UsageError(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs ({', '.join(graph.outputs)}); a model of the "
            f"task '{task}' has one each; {WAY_OUT}"
        )
    tensor = graph.tensors[graph.outputs[0]]
    shown = _tensor_info(tensor, "nchw", "logits", None)
    if problem := shape_problem(task, shown):
        ends_in_map = proof_of(graph, graph.outputs[0]).values == "class_map"
        if not ends_in_map or (problem := class_map_problem(shown)):
            raise UsageError(f"{problem}; {WAY_OUT}")
    count = score_count(task, shown)
    meaning, scores = output_meaning(graph, description.said, task=task, count=count)
    if meaning != "class_map" and names != count and not (count == 1 and names in (1, 2)):
        raise UsageError(
            f"{names} class names for a model with {count} scores; "
            "names come from the card, or from the labelled split that a checkpoint was trained or evaluated on"
        )
    told = shown.model_copy(update={"meaning": meaning, "scores": scores})
    features = (_tensor_info(graph.tensors[name], "nchw", FEATURES, None) for name in graph.outputs[1:])
    return (told, *features)


CHECKS: Mapping[str, Callable[[Graph, Description], Told]] = {
    "classify": _one_output,
    "segment": _one_output,
    "detect": _box_heads,
}


def model_file(name: str, data: bytes, graph: Graph, description: Description, outputs: Told) -> ModelFile:
    """The manifest's entry for a file's bytes and their graph; `outputs` says what its outputs mean.

    Raises:
        UsageError: a predictor could not predict with such a file.
    """
    onnx = name.endswith(".onnx")
    layout: Layout = "nchw" if onnx or description.keep_nchw_io else "nhwc"
    file = ModelFile(
        path=name,
        format="onnx" if onnx else "tflite",
        role="source" if name == "source.onnx" else "run",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        format_version=_opset(data) if onnx else 3,
        inputs=tuple(_tensor_info(graph.tensors[tensor], layout, "image", None) for tensor in graph.inputs),
        outputs=tuple(
            _output_info(graph, tensor, layout, description, output)
            for tensor, output in zip(graph.outputs, outputs, strict=True)
        ),
    )
    if problem := form_problem(
        description.task, description.labels, description.preprocess, file, description.detection
    ):
        raise UsageError(f"{problem}; {WAY_OUT}")
    return file


def _opset(data: bytes) -> int:
    import onnx

    model = onnx.load_from_string(data)
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def _output_info(graph: Graph, name: str, layout: Layout, description: Description, output: TensorInfo) -> TensorInfo:
    stride = None
    form = OUTPUT_FORMS.get(description.task)
    if form is not None and form.per_cell and len(graph.tensors[name].shape) > 2:
        # (n, h, w) class maps and NHWC logits have the height at axis 1, NCHW logits at axis 2
        shape = graph.tensors[name].shape
        rows = shape[2] if layout == "nchw" and len(shape) == 4 else shape[1]
        height = description.preprocess.height
        if rows > height:
            raise UsageError(
                f"output '{name}' has {rows} rows for images of {height}; a map is no larger than its image"
            )
        stride = round(height / rows)
    told = _tensor_info(graph.tensors[name], layout, output.meaning, stride)
    layout_too = {"layout": output.layout} if description.detection is not None else {}
    return told.model_copy(update={"scores": output.scores, **layout_too})


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


def refuse_other_folder(folder: Path, *inputs: Path | None) -> None:
    """Refuse to take the place of anything but an artifact or an empty folder: nothing is lost.

    Raises:
        ArtifactError: the folder holds something else. UsageError: it is, or holds, one of the inputs. FileError: it
            could not be written.
    """
    known = {MANIFEST_NAME, SELFTEST_NAME, "model.tflite", "model.onnx", "source.onnx"}
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
