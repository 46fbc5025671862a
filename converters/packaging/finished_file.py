"""A finished model file described for a manifest: what it shows is read, the rest said by a card."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError

from converters.packaging.finished_detector import detection_section, told_outputs
from converters.packaging.output_meaning import Said, meaning_of, named_classes
from converters.tflite.detection_postprocess import CODE, post_process_classes
from edge.artifact.card import Card
from edge.artifact.detection import Detection
from edge.artifact.model_file import Labels, ModelFile, TensorInfo
from edge.artifact.output_form import OUTPUT_FORMS, form_problem, score_count
from edge.errors import UsageError
from edge.graph.analyses.output_meaning import Proof, proof_of
from edge.graph.graph import Graph
from edge.port import Port
from edge.strict import first_problem
from edge.vision.pixels import normalize_table
from edge.vision.preprocess import Preprocess

DETECTOR = "a card of the task detect says how they become boxes"
WAY_OUT = "`edge bench FILE` measures a file without a task"
UNREAD = Proof(values=None, scores=None, ending="operators that are not read here")
CLIPPED_QUANTA = 2.0  # 255 at 1/128 and zero point 128 lies one quantum outside uint8: how such files are fed
FEW = 0.55  # of an input's steps


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished file as a runtime shows it, and its graph where it is read here.

    Inputs and outputs may lack the batch axis; the manifest tells one of 1, and sessions add it.
    """

    path: str
    format_version: int
    data: bytes
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    graph: Graph | None


@dataclass(frozen=True, kw_only=True)
class Described:
    """A finished file as a manifest describes it: its entry, the names of its classes, and a detector's section."""

    file: ModelFile
    labels: Labels
    detection: Detection | None


def describe(finished: Finished, card: Card, where: str) -> Described:
    """What a manifest says of a finished file.

    Args:
        where: the file and its card, for messages.

    Raises:
        UsageError: what the card says contradicts the file, or nothing says what an output is; in one line.
    """
    if len(finished.inputs) != 1:
        raise UsageError(f"{where}: {len(finished.inputs)} inputs; a predictor takes one image; {WAY_OUT}")
    given = _input(finished.inputs[0], card.preprocess, where)
    detection = None if card.detection is None else detection_section(card, card.detection, where)
    try:
        outputs = OUTPUTS[card.task](finished, card, given.layout, where)
        file = ModelFile(
            path=finished.path,
            format="onnx" if finished.path.endswith(".onnx") else "tflite",
            role="run",
            sha256=hashlib.sha256(finished.data).hexdigest(),
            size_bytes=len(finished.data),
            format_version=finished.format_version,
            inputs=(given,),
            outputs=outputs,
        )
    except ValidationError as error:
        raise UsageError(f"{where}: an artifact cannot describe it: {first_problem(error, TensorInfo)}") from error
    labels = card.labels
    if detection is None:
        labels = named_classes(labels, card.task, file.outputs[file.answer])
    if problem := form_problem(card.task, labels, card.preprocess, file, detection):
        raise UsageError(f"{where}: {problem}; {WAY_OUT}")
    return Described(file=file, labels=labels, detection=detection)


def _scores(finished: Finished, card: Card, given_layout: str, where: str) -> tuple[TensorInfo, ...]:
    """One output of scores, the others described."""
    place = _answer(finished.outputs, card, where)
    others = [_told(port, "flat", "other") for port in finished.outputs]
    return *others[:place], _output(finished, place, card, given_layout, where), *others[place + 1 :]


def _boxes(finished: Finished, card: Card, given_layout: str, where: str) -> tuple[TensorInfo, ...]:
    """The outputs that become boxes, the others described."""
    found = told_outputs(finished.outputs, finished.graph, card, where)
    classes = post_process_classes(finished.data) if finished.path.endswith(".tflite") else None
    if classes is not None and classes != len(card.labels.names):
        raise UsageError(
            f"{where}: the card names {len(card.labels.names)}, and the file's {CODE} knows {classes} classes"
        )
    described = []
    for place, port in enumerate(finished.outputs):
        told = found.get(place)
        entry = _told(port, "flat" if told is None else told.layout, "other" if told is None else told.meaning)
        described.append(entry if told is None else entry.model_copy(update={"scores": told.scores}))
    return tuple(described)


OUTPUTS: Mapping[str, Callable[[Finished, Card, str, str], tuple[TensorInfo, ...]]] = {
    "classify": _scores,
    "segment": _scores,
    "detect": _boxes,
}


def input_notes(given: TensorInfo, preprocess: Preprocess) -> tuple[str, ...]:
    """What a person should know about how images meet the file's input, one sentence each."""
    if given.dtype == "uint8" and given.scale is None:
        return (f"input '{given.name}' is uint8 without a scale: it takes pixels as they are, without mean and std",)
    levels = _levels(given, preprocess)
    if levels is None:
        return ()
    limits = np.iinfo(given.dtype)
    used = (min(levels[1], limits.max) - max(levels[0], limits.min)) / (limits.max - limits.min)
    if used >= FEW or given.dtype == "int16":
        return ()
    return (
        f"images use {used:.0%} of the steps of input '{given.name}' (scale {given.scale:.6g}, zero point "
        f"{given.zero_point}): if that is not so meant, the card's mean and std are not the model's",
    )


def is_detector(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether outputs are boxes with their scores: one of (1, n, 4) beside one of (1, n, ...), in any order."""
    boxes = [shape for shape in shapes if len(shape) == 3 and shape[2] == 4]
    return len(shapes) > 1 and any(
        other is not box and len(other) > 1 and other[1] == box[1] for box in boxes for other in shapes
    )


def _input(port: Port, preprocess: Preprocess, where: str) -> TensorInfo:
    height, width = preprocess.height, preprocess.width
    shapes = {"nhwc": (1, height, width, 3), "nchw": (1, 3, height, width)}
    layout = next((layout for layout, shape in shapes.items() if port.shape in (shape, shape[1:])), None)
    if layout is None:
        raise UsageError(
            f"{where}: input '{port.name}' is {port.shape}, and the card says height = {height}, width = {width}: "
            f"(1, {height}, {width}, 3) or (1, 3, {height}, {width})"
        )
    try:
        given = _told(replace(port, shape=shapes[layout]), layout, "image")
    except ValidationError as error:
        problem = first_problem(error, TensorInfo)
        raise UsageError(
            f"{where}: input '{port.name}': {problem}; export it with float32 ones, or {WAY_OUT}"
        ) from error
    levels = _levels(given, preprocess)
    if levels is not None and given.scale is not None and given.zero_point is not None:
        limits = np.iinfo(given.dtype)
        if max(limits.min - levels[0], levels[1] - limits.max) > CLIPPED_QUANTA:
            low, high = ((limit - given.zero_point) * given.scale for limit in (limits.min, limits.max))
            table = normalize_table(preprocess)
            raise UsageError(
                f"{where}: by the card's mean and std pixels are {table.min():.4g} to {table.max():.4g}, and input "
                f"'{port.name}' holds {low:.4g} to {high:.4g} (scale {given.scale:.6g}, zero point {given.zero_point})"
            )
    return given


def _levels(given: TensorInfo, preprocess: Preprocess) -> tuple[float, float] | None:
    """The least and the largest integer that pixels become, before they are clipped; None for a float input."""
    if given.scale is None or given.zero_point is None:
        return None
    levels = normalize_table(preprocess) / np.float32(given.scale) + np.float32(given.zero_point)
    return float(levels.min()), float(levels.max())


def _answer(outputs: Sequence[Port], card: Card, where: str) -> int:
    """The place of the output that the task uses: the only one, or the one that the card names."""
    named = ", ".join(f"{place} '{port.name}' {port.dtype} {port.shape}" for place, port in enumerate(outputs))
    if card.output is None:
        if len(outputs) == 1:
            return 0
        if is_detector([port.shape for port in outputs]):
            raise UsageError(f"{where}: {len(outputs)} outputs, a detector's; {DETECTOR}; {WAY_OUT}: {named}")
        raise UsageError(f"{where}: {len(outputs)} outputs; say output = NAME or PLACE at the top of the card: {named}")
    found = [place for place, port in enumerate(outputs) if card.output in (place, port.name)]
    if len(found) != 1:
        raise UsageError(f"{where}: the card says output = {card.output!r}, and the file's are: {named}")
    return found[0]


def _output(finished: Finished, place: int, card: Card, given_layout: str, where: str) -> TensorInfo:
    """What the task's output means: proved by the graph where it is read, else said by the card."""
    port, names = finished.outputs[place], len(card.labels.names)
    proof = UNREAD if finished.graph is None else proof_of(finished.graph, finished.graph.outputs[place])
    per_cell = OUTPUT_FORMS[card.task].per_cell
    if card.values == "class_map":
        if proof.values not in (None, "class_map"):
            raise UsageError(f"{where}: the card says values = 'class_map', and the file ends in {proof.ending}")
        if port.dtype.startswith("float"):
            raise UsageError(f"{where}: the card says values = 'class_map', and output '{port.name}' is {port.dtype}")
        proof = replace(proof, values="class_map")
    elif proof.values == "class_map" and card.values is not None:
        raise UsageError(f"{where}: the card says values = '{card.values}', and the file ends in {proof.ending}")
    port = _batched(port, per_cell=per_cell, is_map=proof.values == "class_map")
    layout = _layout(port.shape, names, given_layout, is_map=proof.values == "class_map")
    shown = _told(port, layout, "logits")
    if per_cell and proof.values != "class_map" and len(port.shape) != 4:
        raise UsageError(
            f"{where}: output '{port.name}' is {port.dtype} {port.shape}, no scores per cell; say values = 'class_map' "
            f"at the top of the card if it holds classes, or {WAY_OUT}"
        )
    count = math.prod(port.shape) if proof.values == "class_map" else score_count(card.task, shown)
    try:
        meaning, scores = meaning_of(
            proof, Said(values=card.values, scores=card.scores), task=card.task, count=count, way_out=WAY_OUT
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    if meaning == "class_map":
        _require_names(finished.graph, place, names, where)
    return shown.model_copy(update={"meaning": meaning, "scores": scores, "stride": _stride(shown, card)})


def _batched(port: Port, *, per_cell: bool, is_map: bool) -> Port:
    """The port with a batch axis: scores (classes,), cells (h, w, classes) and maps (h, w) or (h, w, 1) lack one."""
    rank = len(port.shape)
    lacks = rank == 1 if not per_cell else (rank == 2 and is_map) or (rank == 3 and (not is_map or port.shape[0] != 1))
    return replace(port, shape=(1, *port.shape)) if lacks else port


def _layout(shape: tuple[int, ...], names: int, given_layout: str, *, is_map: bool) -> str:
    """The axis order of an output: of four axes that of its channels, which are as many as the names."""
    if len(shape) != 4:
        return {2: "nc", 3: "nhw"}.get(len(shape), "flat")
    channels = 1 if is_map or 1 in (shape[1], shape[3]) else names
    places = [layout for layout, axis in (("nhwc", 3), ("nchw", 1)) if shape[axis] == channels]
    return places[0] if len(places) == 1 else given_layout


def _stride(output: TensorInfo, card: Card) -> int | None:
    if not OUTPUT_FORMS[card.task].per_cell or len(output.shape) < 3:
        return None
    rows = output.shape[2] if output.layout == "nchw" else output.shape[1]
    if rows > card.preprocess.height:
        raise UsageError(
            f"output '{output.name}' has {rows} rows for images of {card.preprocess.height}; a map is no larger than "
            "its image"
        )
    return round(card.preprocess.height / rows)


def _require_names(graph: Graph | None, place: int, names: int, where: str) -> None:
    """Refuse (UsageError) class names that are not as many as the scores that an ArgMax chooses from."""
    operator = None if graph is None else graph.producer(graph.outputs[place])
    while operator is not None and operator.kind in ("Reshape", "Cast", "Transpose"):
        operator = None if graph is None else graph.producer(operator.inputs[0])
    if graph is None or operator is None or operator.kind != "ArgMax":
        return
    count = graph.tensors[operator.inputs[0]].shape[operator.attributes["axis"]]
    if count != names:
        raise UsageError(f"{where}: {names} class names, and the file's {operator.kind} chooses from {count} scores")


def _told(port: Port, layout: str, meaning: str) -> TensorInfo:
    return TensorInfo.model_validate({**port.plain, "layout": layout, "meaning": meaning})
