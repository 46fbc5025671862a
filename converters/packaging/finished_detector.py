"""A foreign detector's outputs described for a manifest: what the file shows is read, the rest said by its card."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from edge.artifact.card import Card
from edge.artifact.card_detection import OUTPUTS, CardDetection
from edge.artifact.detection import Anchors, Coder, Detection, anchors_of
from edge.errors import UsageError
from edge.graph.analyses.output_meaning import Proof, proof_of
from edge.graph.graph import Graph
from edge.port import Port, Scores
from edge.strict import first_problem
from edge.vision.detections import Selection
from edge.vision.detector import BOX_MEANINGS, CELLS_FIRST, COLUMNS_FIRST
from edge.vision.score_columns import Values
from edge.vision.two_output_detections import IN_OUR_ORDER, CodeOrder
from edge.vision.yolo_detections import BOX_COLUMNS

ANCHORED = "nac"
"""Layout of (1, anchors, values) of a detector, in either layout of the file."""
UNREAD = Proof(values=None, scores=None, ending="operators that are not read here")
NOT_SAID = (
    "say values = 'logits' or 'probabilities' and scores = 'exclusive' (softmax) or 'independent' (sigmoid) at the top "
    "of the card"
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one output means to the detection, as a manifest's entry says it."""

    meaning: str
    layout: str
    scores: Scores | None = None


def told_outputs(outputs: Sequence[Port], graph: Graph | None, card: Card, where: str) -> dict[int, Told]:
    """What the outputs that a detector uses mean, by their places.

    Args:
        outputs: of the file, as a runtime shows them. graph: where it is read here.
        where: the file and its card, for messages.

    Raises:
        UsageError: an output that is not there or of another shape than the form's, or scores of which nothing says
            what they are.
    """
    detection = card.detection
    if detection is None:
        raise UsageError(f"{where}: task = 'detect' needs a section [detection]: how the outputs become boxes")
    places = _places(outputs, card, detection, where)
    shapes = {role: outputs[place].shape for role, place in places.items()}
    if problem := _shape_problem(detection, shapes, len(card.labels.names)):
        raise UsageError(f"{where}: {problem}")
    if detection.form == "postprocess":
        return {place: Told(meaning=role, layout="flat") for role, place in places.items()}
    place = places["cells" if detection.form == "yolo" else "scores"]
    proof = UNREAD if graph is None else proof_of(graph, graph.outputs[place], axis=len(outputs[place].shape) - 1)
    values, scores = _scores(proof, card, detection, where)
    if detection.form == "yolo":
        first = _columns_first(shapes["cells"], _columns(detection, len(card.labels.names)))
        return {place: Told(meaning="cells", layout=COLUMNS_FIRST if first else CELLS_FIRST)}
    return {
        places["boxes"]: Told(meaning=BOX_MEANINGS[detection.form], layout=ANCHORED),
        place: Told(meaning=values, layout=ANCHORED, scores=scores),
    }


def detection_section(card: Card, said: CardDetection, where: str) -> Detection:
    """The manifest's section, of what the card says.

    Args:
        where: the file and its card, for messages.

    Raises:
        UsageError: anchors or variances that no manifest takes.
    """
    try:
        return _section(card, said)
    except ValidationError as error:
        model = {"Anchors": Anchors, "Coder": Coder}.get(error.title, Detection)
        raise UsageError(f"{where}: [detection], as a manifest has it: {first_problem(error, model)}") from None
    except UsageError as error:
        raise UsageError(f"{where}: [detection] {error}") from None


def _section(card: Card, said: CardDetection) -> Detection:
    size_hw = (card.preprocess.height, card.preprocess.width)
    anchors = None if said.anchors is None else anchors_of(said.anchors.grid(size_hw))
    coder = None if said.variances is None else _coder(said.variances, said.order or "yxhw")
    usual = Selection()
    return Detection(
        form=said.form,
        anchors=anchors,
        coder=coder,
        order=said.order or "yxhw",
        box=said.box,
        extent_wh=(float(size_hw[1]), float(size_hw[0])) if said.unit == "pixels" else (1.0, 1.0),
        values=_values(card) if said.form == "yolo" else None,
        objectness=bool(said.objectness),
        background=said.background if isinstance(said.background, int) else None,
        threshold=said.threshold,
        overlap=usual.overlap if said.overlap is None else said.overlap,
        most=said.most,
        most_candidates=max(usual.most_candidates, said.most),
    )


def _values(card: Card) -> Values | None:
    """What the card says of scores beside their boxes."""
    return None if card.values == "class_map" else card.values


def _coder(variances: Sequence[float], order: CodeOrder) -> Coder:
    """Factors are what variances divide by; in the order of a code."""
    y, x, height, width = (variances[place] for place in IN_OUR_ORDER[order])
    return Coder(y_scale=1 / y, x_scale=1 / x, height_scale=1 / height, width_scale=1 / width)


def _columns(detection: CardDetection, names: int) -> int:
    return BOX_COLUMNS + bool(detection.objectness) + names


def _columns_first(shape: Sequence[int], columns: int) -> bool | None:
    """Whether an output of cells is (1, columns, cells), or else (1, cells, columns); None where it is neither."""
    if len(shape) != 3 or shape[0] != 1 or columns not in shape[1:]:
        return None
    return shape[1] == columns


def _places(outputs: Sequence[Port], card: Card, detection: CardDetection, where: str) -> dict[str, int]:
    named = ", ".join(f"{place} '{port.name}' {port.dtype} {port.shape}" for place, port in enumerate(outputs))
    said = {f"[detection] {role}": getattr(detection, role) for role in OUTPUTS[detection.form]}
    if not said:
        if card.output is None and len(outputs) > 1:
            raise UsageError(
                f"{where}: {len(outputs)} outputs; say output = NAME or PLACE at the top of the card: {named}"
            )
        said = {"output": 0 if card.output is None else card.output}
    elif card.output is not None:
        raise UsageError(f"{where}: the card says output = {card.output!r}; its section [detection] names the outputs")
    found: dict[str, int] = {}
    for key, value in said.items():
        matching = [place for place, port in enumerate(outputs) if value in (place, port.name)]
        if len(matching) != 1:
            raise UsageError(f"{where}: the card says {key} = {value!r}, and the file's outputs are: {named}")
        found[key.removeprefix("[detection] ").replace("output", "cells")] = matching[0]
    if len(set(found.values())) != len(found):
        raise UsageError(f"{where}: [detection] names one output twice: {found}")
    return found


def _shape_problem(detection: CardDetection, shapes: dict[str, tuple[int, ...]], names: int) -> str | None:
    """Why these outputs are not those of the form, in words."""
    if detection.form == "yolo":
        columns = _columns(detection, names)
        if _columns_first(shapes["cells"], columns) is None:
            objectness = ", objectness" * bool(detection.objectness)
            return (
                f"the output is {shapes['cells']}; a box{objectness} and {names} names make {columns} columns: "
                f"(1, {columns}, cells) or (1, cells, {columns})"
            )
        return None
    boxes, scores = shapes["boxes"], shapes["scores"]
    if len(boxes) != 3 or boxes[0] != 1 or boxes[2] != BOX_COLUMNS:
        return f"boxes are {boxes}; expected (1, n, 4)"
    if detection.form == "postprocess":
        wrong = [role for role in ("classes", "scores") if shapes[role] != boxes[:2]]
        wrong += [] if shapes["count"] in ((1,), (1, 1)) else ["count"]
        return f"{wrong[0]} are {shapes[wrong[0]]} beside boxes {boxes}" if wrong else None
    columns = names + (detection.background != "none")
    if scores != (*boxes[:2], columns):
        background = "" if detection.background == "none" else " and the background"
        return f"scores are {scores} beside boxes {boxes}; {names} names{background} make (1, {boxes[1]}, {columns})"
    if isinstance(detection.background, int) and detection.background >= columns:
        return f"background = {detection.background}, and the scores have columns 0 to {columns - 1}"
    return None


def _scores(proof: Proof, card: Card, detection: CardDetection, where: str) -> tuple[Values, Scores]:
    """What the scores are: proved by the end of the graph, else said by the card."""
    if proof.values == "class_map" or card.values == "class_map":
        raise UsageError(f"{where}: a class map has no scores of boxes")
    for said, proved in ((card.values, proof.values), (card.scores, proof.scores)):
        if said is not None and proved == "probabilities" and said != proved:
            raise UsageError(f"{where}: the card says values = '{said}', and the scores end in {proof.ending}")
    values = card.values or proof.values
    scores = card.scores or proof.scores
    if detection.form == "yolo":
        if scores == "exclusive":
            raise UsageError(
                f"{where}: scores of one output with its boxes are 'independent'; no softmax is known there"
            )
        scores = "independent"
    if values is None or scores is None:
        raise UsageError(f"{where}: the scores end in {proof.ending}, which does not prove what they are: {NOT_SAID}")
    return values, scores
