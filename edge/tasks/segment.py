"""Segmentation: the class of every pixel."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import cv2
import numpy as np

from edge.errors import UsageError
from edge.port import DescribedPort
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
from edge.vision.class_map import frame_class_map, model_class_map
from edge.vision.frame import Region
from edge.vision.overlay import Style, draw_class_map
from edge.vision.pixels import placement
from edge.vision.point_rend import refined

NOT_SEEN = 255
SHOWN_CLASSES = 3
LARGE_SHARE = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentPrediction(Prediction):
    """A segmenter's prediction; a mask of one channel is 1 where its probability is at least 0.5 (`threshold`), else 0.

    Attributes:
        model_map: uint8 (height, width) of the model's input, class indices, in its geometry: a crop of the frame, or
            all of it with a border that is NOT_SEEN.
        names: class names by index.
        seen_share: which share of the frame, or of its region, `model_map` shows.
        enlarge: makes `class_map`.
    """

    model_map: Pixels
    names: tuple[str, ...]
    seen_share: float = 1.0
    enlarge: Callable[[], Pixels] = field(repr=False)

    @cached_property
    def class_map(self) -> Pixels:
        """uint8 (frame height, frame width), class indices, NOT_SEEN where the model saw nothing.

        Made when it is asked for first, from the model's scores and not from `model_map`, and kept.
        """
        return _frozen(self.enlarge())


def class_shares(prediction: SegmentPrediction) -> dict[str, float]:
    """Share of the frame, or of its region, that every class covers, the largest first; of those that are there."""
    counts = np.bincount(prediction.model_map.ravel(), minlength=256)
    shown = int(counts.sum()) - int(counts[NOT_SEEN])
    counts = counts[: len(prediction.names)]
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return {prediction.names[index]: float(counts[index]) / shown * prediction.seen_share for index in order}


def _predict(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int], asked: Asked = ASKED) -> SegmentPrediction:
    scores, told = _scores(outputs, facts)
    one = told.meaning != "class_map" and scores.shape[3 if told.layout == "nhwc" else 1] == 1
    if asked.top_k is not None or (asked.threshold is not None and not one):
        raise UsageError("top_k is for classes and boxes, a threshold of a segmenter for a mask of one channel")
    part = asked.region or Region(0, 0, *frame_hw)
    seen_hw, preprocess, probability = (part.height, part.width), facts.preprocess, asked.threshold or 0.5
    place = placement(seen_hw, preprocess)
    common = {"outside": NOT_SEEN, "probability": probability, "scratch": facts.scratch}
    return SegmentPrediction(
        model_map=_frozen(model_class_map(scores, told, seen_hw, preprocess, **common)),  # type: ignore[arg-type]
        names=facts.names,
        seen_share=place.height * place.width / (part.height * part.width),
        enlarge=partial(frame_class_map, scores, told, frame_hw, preprocess, region=asked.region, **common),  # type: ignore[arg-type]
    )


def _frozen(class_map: Pixels) -> Pixels:
    class_map.flags.writeable = False
    return class_map


def _scores(outputs: Outputs, facts: ModelFacts) -> tuple[Array, DescribedPort]:
    return (outputs[0], facts.output) if facts.points is None else refined(outputs, facts.outputs, facts.points)


def _values(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int]) -> Pixels:
    """The class map of the frame, uint8 (height, width)."""
    scores, told = _scores(outputs, facts)
    return frame_class_map(scores, told, frame_hw, facts.preprocess, outside=NOT_SEEN, scratch=facts.scratch)


def _line(prediction: SegmentPrediction) -> str:
    """The largest classes, and every other that `_gist` looks at: where one comes or goes, the line shows it."""
    shares = class_shares(prediction).items()
    told = [entry for place, entry in enumerate(shares) if place < SHOWN_CLASSES or entry[1] >= LARGE_SHARE]
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in told)


def _gist(prediction: SegmentPrediction) -> str:
    return ", ".join(sorted(name for name, share in class_shares(prediction).items() if share >= LARGE_SHARE))


def _draw(rgb: Pixels, prediction: SegmentPrediction, style: Style) -> Pixels:
    class_map = prediction.class_map
    if class_map.shape != rgb.shape[:2]:
        size_wh = (rgb.shape[1], rgb.shape[0])
        class_map = np.asarray(cv2.resize(class_map, size_wh, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
    return draw_class_map(rgb, class_map, prediction.names, style=style)


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
    complete=lambda prediction: prediction.class_map,
    gist=_gist,
)
