"""What TFLite_Detection_PostProcess computes (tensorflow/lite/kernels/detection_postprocess.cc), in numpy.

Its input is box codes and probabilities, its output four tensors. `regular` suppresses within each class; the fast
mode takes each anchor's best class and suppresses among all of them alike: of two classes at one place one is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.box_coder import BoxCoder, decode_boxes
from edge.vision.detections import Detections
from edge.vision.suppression import suppressed

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
FROM_YX = [1, 0, 3, 2]  # y0, x0, y1, x1 <-> x0, y0, x1, y1
FOUR_OUTPUTS = ("boxes", "classes", "scores", "count")
"""What they mean, in the operator's order."""
COUNTERPART = 0.5
"""Two boxes of one class that overlap by so much, intersection over union, are one thing."""


@dataclass(frozen=True, kw_only=True)
class PostProcess:
    """The operator's options.

    Attributes:
        classes: without the background.
        most: detections at most.
        regular: suppress within each class.
        per_class: detections of a class at most, in the regular mode.
        threshold: the least probability. overlap: as of `edge.vision.detections.Selection`.
    """

    classes: int
    most: int = 100
    regular: bool = True
    per_class: int = 100
    threshold: float = 0.3
    overlap: float = 0.6
    coder: BoxCoder = field(default_factory=BoxCoder)

    def __post_init__(self) -> None:
        counts = (self.classes, self.most, self.per_class)
        if any(count < 1 for count in counts):
            raise UsageError(f"classes, detections, and detections per class are {counts}; each must be 1 or more")
        if not 0 < self.overlap <= 1:
            raise UsageError(f"overlap {self.overlap}; a share above 0, and 1 at most, is needed")


@dataclass(frozen=True, kw_only=True, eq=False)
class FourOutputs:
    """The operator's outputs, float32; rows from `count` on mean nothing (the fast mode leaves them as they were).

    Attributes:
        boxes: (1, most, 4), y0, x0, y1, x1 in the anchors' unit, not clipped. classes: (1, most), 0 for the first
        class. scores: (1, most). count: (1,).
    """

    boxes: Floats
    classes: Floats
    scores: Floats
    count: Floats

    @classmethod
    def of(cls, outputs: Sequence[NDArray[Any]]) -> "FourOutputs":
        """From the operator's outputs in its order."""
        boxes, classes, scores, count = outputs
        return cls(boxes=boxes, classes=classes, scores=scores, count=count)

    @property
    def detections(self) -> Detections:
        """What was found, clipped to the model's input."""
        rows = round(float(self.count[0]))
        return Detections(
            boxes=self.boxes[0, :rows][:, FROM_YX].clip(0, 1),
            scores=self.scores[0, :rows],
            labels=self.classes[0, :rows].astype(np.int64),
        )


def post_process(codes: Floats, probabilities: Floats, anchors: Floats, options: PostProcess) -> FourOutputs:
    """The operator's answer. The order of equal scores is ours: lower class first, then lower anchor.

    Args:
        codes: float32 (1, anchors, 4). anchors: float32 (anchors, 4), centre y, centre x, height, width.
        probabilities: float32 (1, anchors, classes), or with a background column in front.
    """
    boxes = decode_boxes(codes[0], anchors, options.coder)
    scores = probabilities[0, :, probabilities.shape[2] - options.classes :]
    rows, labels = (_regular if options.regular else _fast)(boxes, scores, options)
    result = FourOutputs(
        boxes=np.zeros((1, options.most, 4), np.float32),
        classes=np.zeros((1, options.most), np.float32),
        scores=np.zeros((1, options.most), np.float32),
        count=np.array([len(rows)], np.float32),
    )
    result.boxes[0, : len(rows)] = boxes[rows][:, FROM_YX]
    result.classes[0, : len(rows)] = labels
    result.scores[0, : len(rows)] = scores[rows, labels]
    return result


def _regular(boxes: Floats, scores: Floats, options: PostProcess) -> tuple[Indices, Indices]:
    """Anchors and classes of the detections, each class suppressed and cut alone, then the best of all."""
    rows: list[Indices] = []
    labels: list[Indices] = []
    for label in range(options.classes):
        reaching = np.asarray(np.flatnonzero(scores[:, label] >= np.float32(options.threshold)), np.int64)
        kept = suppressed(boxes[reaching], scores[reaching, label], None, options.overlap)[: options.per_class]
        rows.append(reaching[kept])
        labels.append(np.full(len(kept), label, np.int64))
    found, of_class = np.concatenate(rows), np.concatenate(labels)
    best = np.argsort(-scores[found, of_class], kind="stable")[: options.most]
    return found[best], of_class[best]


def _fast(boxes: Floats, scores: Floats, options: PostProcess) -> tuple[Indices, Indices]:
    """Anchors and classes: every anchor has its best class alone, and all of them suppress each other."""
    labels = np.asarray(scores.argmax(axis=1), np.int64)
    best = scores[np.arange(len(scores)), labels]
    reaching = np.asarray(np.flatnonzero(best >= np.float32(options.threshold)), np.int64)
    kept = reaching[suppressed(boxes[reaching], best[reaching], None, options.overlap)[: options.most]]
    return kept, labels[kept]


def share_apart(first: FourOutputs, second: FourOutputs) -> float:
    """Share of all found, weighted by score, that has no counterpart: 0 of equal answers, 1 where nothing is common.

    Counterparts are boxes of one class that overlap by half and more, one to one, the best pairs first; what their
    scores have in common counts. Where numbers are not finite, or shapes differ, infinite.
    """
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("boxes", "classes", "scores", "count")]
    if all(np.array_equal(one, other) for one, other in pairs):
        return 0.0
    if any(one.shape != other.shape or not np.isfinite(other).all() for one, other in pairs):
        return float("inf")
    rows = [min(max(round(float(answer.count[0])), 0), answer.scores.shape[1]) for answer in (first, second)]
    (boxes, classes, scores), (others, their_classes, their_scores) = (
        (answer.boxes[0, :count], answer.classes[0, :count], answer.scores[0, :count].astype(np.float64))
        for answer, count in zip((first, second), rows, strict=True)
    )
    total = float(scores.sum() + their_scores.sum())
    if total == 0:
        return 0.0
    overlaps = np.where(classes[:, None] == their_classes[None, :], _overlaps(boxes, others), 0.0)
    common = 0.0
    for place in np.argsort(-overlaps, axis=None, kind="stable"):
        row, column = divmod(int(place), overlaps.shape[1])
        if overlaps[row, column] < COUNTERPART:  # taken already, or too little
            continue
        common += 2 * min(float(scores[row]), float(their_scores[column]))
        overlaps[row, :] = overlaps[:, column] = 0.0
    return 1.0 - common / total


def _overlaps(boxes: Floats, others: Floats) -> NDArray[np.float64]:
    """Intersection over union of every two boxes (n, 4) and (m, 4); 0 of boxes without area."""
    ours, theirs = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]
    sides = (np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])).clip(0)
    areas = [(part[..., 2:] - part[..., :2]).clip(0).prod(axis=-1) for part in (ours, theirs)]
    common = sides.prod(axis=-1)
    union = areas[0] + areas[1] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))
