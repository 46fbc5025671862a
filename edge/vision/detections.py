"""What a detector found: boxes with scores and labels, which of them are wanted, and where they lie in the frame."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.pixels import Geometry, placement
from edge.vision.suppression import areas, suppressed

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
MOST_BOXES = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """What was found, the best first.

    Attributes:
        boxes: float32 (n, 4), x0, y0, x1, y1.
        scores: float32 (n,), probabilities.
        labels: int64 (n,), 0 for the first class; the background is none.
    """

    boxes: Floats
    scores: Floats
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which detections are wanted.

    Attributes:
        threshold: the least probability, in (0, 1).
        overlap: two boxes of one class that overlap by more (intersection over union) are one; in (0, 1].
        most: how many at most.
        most_candidates: so many, the best, are decoded and compared; cuts what a low threshold lets through.
        class_aware: boxes of different classes never suppress each other.
    """

    threshold: float = 0.3
    overlap: float = 0.6
    most: int = 100
    most_candidates: int = 1000
    class_aware: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UsageError(f"threshold {self.threshold}; a probability between 0 and 1 is needed")
        if not 0 < self.overlap <= 1:
            raise UsageError(f"overlap {self.overlap}; a share above 0, and 1 at most, is needed")
        if self.most > MOST_BOXES or self.most_candidates > MOST_BOXES:
            raise UsageError(
                f"{self.most} boxes of {self.most_candidates} candidates; {MOST_BOXES} are possible, because each is "
                "compared with every other"
            )
        if self.most < 1 or self.most_candidates < self.most:
            raise UsageError(f"{self.most} of {self.most_candidates} candidates; at least 1, and no more than those")


def chosen(
    rows: Labels, labels: Labels, scores: Floats, decode: Callable[[Labels], Floats], selection: Selection
) -> Detections:
    """Of candidates that reach the threshold the best are decoded, suppressed, and clipped.

    Args:
        rows: of each candidate's box, int64 (n,); labels int64 (n,); scores float32 (n,).
        decode: rows (k,) -> boxes float32 (k, 4), x0, y0, x1, y1 as shares of the input; one without area is dropped,
            and one whose area is not finite.
    """
    if len(rows) > selection.most_candidates:
        best = np.sort(np.argsort(-scores, kind="stable")[: selection.most_candidates])
        rows, labels, scores = rows[best], labels[best], scores[best]
    boxes = decode(rows)
    size = areas(boxes)
    real = np.isfinite(size) & (size > 0)
    if not real.all():
        boxes, scores, labels = boxes[real], scores[real], labels[real]
    # Overlaps are those of whole boxes, as TFLite's operator has them: anchors of the last maps exceed the image.
    meeting = labels if selection.class_aware else None
    kept = suppressed(boxes, scores, meeting, selection.overlap)[: selection.most]
    return Detections(boxes=boxes[kept].clip(0, 1), scores=scores[kept], labels=labels[kept])


def in_frame(found: Detections, frame_hw: tuple[int, int], preprocess: Geometry) -> Detections:
    """Detections in pixels of the frame: the way back through `preprocess`, clipped to the frame.

    Boxes that lie outside the frame altogether (in the border of a letterbox) are dropped.
    """
    place = placement(frame_hw, preprocess)
    inputs = np.array([preprocess.width, preprocess.height] * 2, np.float64)
    border = np.array([place.to_left, place.to_top] * 2)
    steps = np.array([place.width / place.to_width, place.height / place.to_height] * 2)
    pixels = (found.boxes * inputs - border) * steps + np.array([place.left, place.top] * 2)
    limits = np.array([frame_hw[1], frame_hw[0]] * 2, np.float64)
    boxes = np.clip(pixels, 0, limits).astype(np.float32)
    seen = (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    return Detections(boxes=boxes[seen], scores=found.scores[seen], labels=found.labels[seen])
