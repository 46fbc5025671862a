"""Segmentation: the class of every pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from edge.tasks.task import Colour, Measure, ModelFacts, Outputs, Pixels, Prediction, Task, deferred
from edge.vision.overlay import draw_class_map
from edge.vision.point_rend import refined
from edge.vision.postprocess import frame_class_map

NOT_SEEN = 255
SHOWN_CLASSES = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentPrediction(Prediction):
    """A segmenter's prediction.

    Attributes:
        class_map: uint8 (frame height, frame width), class indices; NOT_SEEN where the model saw nothing (fit `crop`).
            A mask of one channel is 1 where its probability is at least 0.5, else 0.
        names: class names by index.
    """

    class_map: Pixels
    names: tuple[str, ...]


def class_shares(prediction: SegmentPrediction) -> dict[str, float]:
    """Share of the frame that every class covers, the largest first; classes that are absent are omitted."""
    counts = np.bincount(prediction.class_map.ravel(), minlength=256)[: len(prediction.names)]
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return {prediction.names[index]: float(counts[index]) / prediction.class_map.size for index in order}


def _predict(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int]) -> SegmentPrediction:
    return SegmentPrediction(class_map=_values(outputs, facts, frame_hw), names=facts.names)


def _values(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int]) -> Pixels:
    """The class map of the frame, uint8 (height, width)."""
    scores, told = outputs[0], facts.output
    if facts.points is not None:
        scores, told = refined(outputs, facts.outputs, facts.points)
    return frame_class_map(scores, told, frame_hw, facts.preprocess, outside=NOT_SEEN)


def _line(prediction: SegmentPrediction) -> str:
    shares = list(class_shares(prediction).items())[:SHOWN_CLASSES]
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in shares)


def _draw(rgb: Pixels, prediction: SegmentPrediction, palette: tuple[Colour, ...]) -> Pixels:
    class_map = prediction.class_map
    if class_map.shape != rgb.shape[:2]:
        size_wh = (rgb.shape[1], rgb.shape[0])
        class_map = np.asarray(cv2.resize(class_map, size_wh, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    return draw_class_map(rgb, class_map, prediction.names, palette)


PIXELS = Measure(
    metric="miou",
    unit="pixels",
    meter=deferred("edge.tasks.segment_meter", "MapMeter"),
    likeness=deferred("edge.evaluation.boundary_fidelity", "BoundaryFidelity"),
)

SEGMENT: Task[SegmentPrediction] = Task(
    name="segment",
    title="image segmenter",
    predict=_predict,
    values=_values,
    decisions=lambda values, facts: values,
    measure=lambda independent: PIXELS,
    plain=lambda prediction: {"shares": class_shares(prediction)},
    line=_line,
    draw=_draw,
)
