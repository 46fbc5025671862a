"""What TFLite_Detection_PostProcess gives: four outputs, which are one answer, and how alike two answers are.

Travels to devices: needs numpy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError
from edge.vision.box_overlaps import box_overlaps

if TYPE_CHECKING:
    from edge.vision.detections import Detections

Floats = NDArray[np.float32]
FROM_YX = [1, 0, 3, 2]  # y0, x0, y1, x1 <-> x0, y0, x1, y1
FOUR_OUTPUTS = ("boxes", "classes", "scores", "count")
"""What they mean, in the operator's order."""
COUNTERPART = 0.5
"""Two boxes of one class that overlap by so much, intersection over union, are one thing."""


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
    def detections(self) -> "Detections":
        """What was found, clipped to the model's input; -1 for a class that no whole number of 32 bits says.

        Refused (EngineError): a count that is none.
        """
        from edge.vision.detections import Detections  # brings OpenCV, which not every device has

        count = float(self.count.reshape(-1)[0])
        if not 0 <= count < np.inf:
            raise EngineError(f"the model answers that it found {count:g} boxes")
        rows = round(count)
        classes = self.classes[0, :rows]
        return Detections(
            boxes=self.boxes[0, :rows][:, FROM_YX].clip(0, 1),
            scores=self.scores[0, :rows],
            labels=np.where(np.abs(classes) < np.float32(2**31), classes, np.float32(-1)).astype(np.int64),
        )


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
    overlaps = np.where(classes[:, None] == their_classes[None, :], box_overlaps(boxes, others), 0.0)
    common = 0.0
    for place in np.argsort(-overlaps, axis=None, kind="stable"):
        row, column = divmod(int(place), overlaps.shape[1])
        if overlaps[row, column] < COUNTERPART:  # taken already, or too little
            continue
        common += 2 * min(float(scores[row]), float(their_scores[column]))
        overlaps[row, :] = overlaps[:, column] = 0.0
    return 1.0 - common / total
