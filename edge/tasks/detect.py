"""Detection: boxes of objects, each of one class, in pixels of the frame."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge.errors import EngineError, UsageError
from edge.tasks.task import (
    ASKED,
    Array,
    Asked,
    Measure,
    ModelFacts,
    Outputs,
    Pixels,
    Prediction,
    Task,
    deferred,
)
from edge.vision.detections import Detections, Selection, in_frame
from edge.vision.detector import Detector, found_boxes
from edge.vision.overlay import Style, draw_boxes

COUNTED_FROM, COUNTED = 0.01, 300
"""Down to which probability, and how many boxes of an image, an evaluation counts: average precision needs a tail."""
SHOWN_CLASSES = 5
SCORE, LABEL = 4, 5


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxPrediction(Prediction):
    """A detector's prediction.

    Attributes:
        boxes: the best first, in pixels of the frame.
        names: class names by index.
        frame_hw: height and width of the frame.
    """

    boxes: Detections
    names: tuple[str, ...]
    frame_hw: tuple[int, int]


def _detector(facts: ModelFacts) -> Detector:
    if facts.detection is None:
        raise UsageError("a detector of which nothing says how its outputs become boxes")
    return facts.detection


def selected(detector: Detector, threshold: float | None, most: int | None) -> Detector:
    """A detector that finds by another threshold, or so many boxes at most, where they are given."""
    if threshold is None and most is None:
        return detector
    own = detector.selection
    count = own.most if most is None else most
    selection = replace(
        own,
        threshold=own.threshold if threshold is None else threshold,
        most=count,
        most_candidates=max(own.most_candidates, count),
    )
    return replace(detector, selection=selection)


def _found(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int], selection: Selection) -> Detections:
    """Boxes in pixels of what the model was given."""
    found = found_boxes(outputs, facts.outputs, _detector(facts), selection)
    unknown = found.labels[(found.labels < 0) | (found.labels >= len(facts.names))]
    if len(unknown):
        raise EngineError(f"the model answers class {unknown[0]}, and there are {len(facts.names)} names")
    return in_frame(found, frame_hw, facts.preprocess)


def _predict(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int], asked: Asked = ASKED) -> BoxPrediction:
    selection = selected(_detector(facts), asked.threshold, asked.top_k).selection
    top, left, *seen_hw = asked.region or (0, 0, *frame_hw)
    found = _found(outputs, facts, (seen_hw[0], seen_hw[1]), selection)
    if asked.region is not None:
        found = replace(found, boxes=found.boxes + np.array([left, top] * 2, np.float32))
    for array in (found.boxes, found.scores, found.labels):
        array.flags.writeable = False
    return BoxPrediction(boxes=found, names=facts.names, frame_hw=frame_hw)


def _values(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int]) -> Array:
    """float64 (n, 6): x0, y0, x1, y1 in pixels of the frame, score, label; the best first, from COUNTED_FROM on."""
    wanted = _detector(facts).selection
    low = min(wanted.threshold, COUNTED_FROM)
    selection = replace(
        wanted, threshold=low, most=max(wanted.most, COUNTED), most_candidates=max(wanted.most_candidates, 1000)
    )
    found = _found(outputs, facts, frame_hw, selection)
    return np.concatenate([found.boxes, found.scores[:, None], found.labels[:, None]], axis=1, dtype=np.float64)


def _decisions(values: Array, facts: ModelFacts) -> Array:
    """The rows that a predictor shows."""
    wanted = _detector(facts).selection
    # A score is a float32, and was compared as one.
    return values[values[:, SCORE].astype(np.float32) >= np.float32(wanted.threshold)][: wanted.most]


def _plain(prediction: BoxPrediction) -> dict[str, Any]:
    """`boxes`, the best first: class `index` and `name`, `score`, and `x0`, `y0`, `x1`, `y1` in pixels of the frame."""
    found = prediction.boxes
    return {
        "boxes": [
            {
                "index": int(label),
                "name": prediction.names[label],
                "score": round(float(score), 4),
                **{key: round(float(value), 2) for key, value in zip(("x0", "y0", "x1", "y1"), box, strict=True)},
            }
            for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        ]
    }


def _line(prediction: BoxPrediction) -> str:
    """How many of every class, the commonest first: `3 RBC, 1 WBC`."""
    counts = np.bincount(prediction.boxes.labels, minlength=len(prediction.names))
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    words = [f"{counts[index]} {prediction.names[index]}" for index in order[:SHOWN_CLASSES]]
    rest = int(counts[order[SHOWN_CLASSES:]].sum())
    return ", ".join([*words, *([f"{rest} others"] if rest else [])]) or "no box"


def _draw(rgb: Pixels, prediction: BoxPrediction, style: Style) -> Pixels:
    found, (height, width) = prediction.boxes, prediction.frame_hw
    steps = np.array([rgb.shape[1] / width, rgb.shape[0] / height] * 2)
    return draw_boxes(rgb, found.boxes * steps, found.scores, found.labels, prediction.names, style.palette)


BOXES = Measure(metric="map", unit="boxes", meter=deferred("edge.tasks.detect_meter", "BoxMeter"))

DETECT: Task[BoxPrediction] = Task(
    name="detect",
    title="object detector",
    predict=_predict,
    values=_values,
    decisions=_decisions,
    measure=lambda independent: BOXES,
    plain=_plain,
    line=_line,
    draw=_draw,
    alike=deferred("edge.evaluation.box_likeness", "alike_boxes"),
)
