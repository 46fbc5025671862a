"""A detector's card begun: which outputs hold what, as far as their shapes and the file's end say it."""

from collections.abc import Sequence
from dataclasses import dataclass

from converters.packaging.card_lines import LEFT, line
from edge.errors import printable
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph, Tensor
from edge.vision.yolo_detections import BOX_COLUMNS

POST_PROCESS = "CUSTOM_TFLite_Detection_PostProcess", "TFLite_Detection_PostProcess"
FOUR = ("boxes", "classes", "scores", "count")
SELECTION = (
    line("threshold", "0.3", "the least score of what is found, unless asked otherwise"),
    line("overlap", "0.6", "of two boxes of a class that overlap by more the better one stays"),
    line("most", "100", "boxes of an image at most"),
)


@dataclass(frozen=True, kw_only=True)
class DetectorLines:
    """Parts of the card. `classes`: how many names are wanted, where that is known."""

    head: list[str]
    section: list[str]
    classes: int | None


def detector_lines(graph: Graph, classes: int | None = None) -> DetectorLines | None:
    """The lines of a detector's card; None of a graph whose outputs are not a detector's.

    Args:
        classes: that the file's post-processing knows.
    """
    outputs = [graph.tensors[name] for name in graph.outputs]
    operator = graph.producer(graph.outputs[0])
    if operator is not None and operator.kind in POST_PROCESS and len(operator.outputs) == len(FOUR):
        places = {role: graph.outputs.index(name) for role, name in zip(FOUR, operator.outputs, strict=True)}
        return _four(outputs, places, classes)
    boxes = [place for place, tensor in enumerate(outputs) if len(tensor.shape) == 3 and tensor.shape[2] == BOX_COLUMNS]
    for place in boxes:
        count = outputs[place].shape[1]
        beside = [k for k, tensor in enumerate(outputs) if k != place and tensor.shape[1:2] == (count,)]
        tables = [k for k in beside if len(outputs[k].shape) == 3]
        rows = [k for k in beside if len(outputs[k].shape) == 2]
        if len(rows) == 2 and len(outputs) == len(FOUR):
            rest = next(k for k in range(len(FOUR)) if k not in (place, *rows))
            return _four(outputs, {"boxes": place, "count": rest}, classes)
        if len(tables) == 1:
            return _two(graph, outputs, place, tables[0])
    wide = outputs[0].shape
    if len(outputs) == 1 and len(wide) == 3 and wide[0] == 1 and min(wide[1:]) > BOX_COLUMNS:
        return _one(graph, outputs[0])
    return None


def _told(place: int, tensor: Tensor) -> str:
    return f"'{printable(tensor.name)}' {tensor.dtype} {tensor.shape}"


def _four(outputs: Sequence[Tensor], known: dict[str, int], classes: int | None) -> DetectorLines:
    shown = ", ".join(f"{place} {_told(place, tensor)}" for place, tensor in enumerate(outputs))
    section = ["[detection]", line("form", '"postprocess"', "four outputs, as of TFLite_Detection_PostProcess")]
    for role in FOUR:
        place = known.get(role)
        section.append(
            line(role, LEFT, shown) if place is None else line(role, str(place), _told(place, outputs[place]))
        )
    section += [SELECTION[0], SELECTION[2]]
    return DetectorLines(
        head=[line("task", '"detect"', "boxes, classes, scores and count")], section=section, classes=classes
    )


def _two(graph: Graph, outputs: Sequence[Tensor], boxes: int, scores: int) -> DetectorLines:
    section = [
        "[detection]",
        line("form", LEFT, '"boxes" (boxes as they are) or "ssd" (codes relative to anchors)'),
        line("boxes", str(boxes), _told(boxes, outputs[boxes])),
        line("scores", str(scores), _told(scores, outputs[scores])),
        line("background", LEFT, 'the column of the scores that is no class, mostly 0, or "none"'),
        *SELECTION,
        *(f"# {text}" for text in (
            'form = "boxes" needs: box = "cxcywh", "xywh", "xyxy" or "yxyx"; unit = "pixels" or "shares"',
            'form = "ssd" needs: order = "xywh" (PyTorch) or "yxhw" (TensorFlow); variances = [0.1, 0.1, 0.2, 0.2];',
            "and [detection.anchors] with strides = [8, 16, ...] and sizes = [[10, 16], [32], ...] in pixels, or",
            "maps = [[20, 20], [10, 10], ...], the rows and columns of the maps of SSD or SSDLite",
        )),
    ]  # fmt: skip
    head = [line("task", '"detect"', f"{len(outputs)} outputs, boxes beside scores"), *_values(graph, scores)]
    return DetectorLines(head=head, section=section, classes=None)


def _one(graph: Graph, output: Tensor) -> DetectorLines:
    section = [
        "[detection]",
        line("form", '"yolo"', f"boxes and scores in one output {_told(0, output)}"),
        line("box", LEFT, '"cxcywh" (most), "xywh", "xyxy" or "yxyx"'),
        line("unit", LEFT, '"pixels" of the input, or "shares" of its sides (0 to 1)'),
        line(
            "objectness", LEFT, "true: column 4 multiplies the scores behind it (YOLOv5); false: classes alone (YOLOv8)"
        ),
        *SELECTION,
    ]
    head = [line("task", '"detect"', "if it is one: an output of cells by columns"), *_values(graph, 0, yolo=True)]
    return DetectorLines(head=head, section=section, classes=None)


def _values(graph: Graph, place: int, *, yolo: bool = False) -> list[str]:
    """What the scores are, where the graph does not prove it."""
    name = graph.outputs[place]
    proof = proof_of(graph, name, axis=len(graph.tensors[name].shape) - 1)
    lines = []
    if proof.values is None or yolo:
        lines.append(line("values", LEFT, '"probabilities" (of 0 to 1) or "logits"'))
    if proof.scores is None and not yolo:
        lines.append(line("scores", LEFT, '"exclusive" (softmax) or "independent" (sigmoid)'))
    return lines
