"""What the manifest says of a file: its inputs and outputs, and what every output means."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from converters.packaging.description import Description
from converters.packaging.finished_detector import ANCHORED
from converters.packaging.finished_detector import Told as BoxOutput
from converters.packaging.output_meaning import WAY_OUT, output_meaning
from edge.artifact.detection import detection_problem
from edge.artifact.model_file import ModelFile, TensorInfo
from edge.artifact.output_form import OUTPUT_FORMS, class_map_problem, form_problem, score_count, shape_problem
from edge.artifact.point_head import FEATURES, GIVEN
from edge.errors import UsageError
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph, Layout, Tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite

LAYOUTS = {2: "nc", 3: "nhw"}
Told = tuple[TensorInfo, ...]
"""What every output means, in their order."""


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


def point_head_file(name: str, data: bytes) -> ModelFile:
    """The manifest's entry for a point head's file."""
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
