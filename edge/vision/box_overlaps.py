"""How much boxes overlap: intersection over union of every one with every other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]
Overlaps = NDArray[np.float64]


def box_overlaps(boxes: Boxes, others: Boxes, crowds: NDArray[np.bool_] | None = None) -> Overlaps:
    """Intersection over union, or over the box alone where the other is a crowd; 0 where both are empty.

    Args:
        boxes, others: (n, 4) and (m, 4), x0 y0 x1 y1 in any one unit; a box has no border, so that its area is
            (x1 - x0) (y1 - y0) (COCO's `maskUtils.iou`, which takes widths and heights).
        crowds: bool (m,), which of the others are regions of many objects: what lies in one overlaps it wholly.

    Returns:
        float64 (n, m), in [0, 1].
    """
    first, second = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])  # (n, m, 2)
    together = np.prod(np.maximum(sides, 0.0), axis=-1)
    whole = box_areas(boxes)[:, None] + np.zeros(len(others))
    united = whole + box_areas(others)[None] - together
    if crowds is not None:
        united = np.where(crowds[None], whole, united)
    shares: Overlaps = np.divide(together, united, out=np.zeros_like(together), where=united > 0)
    return shares


def box_areas(boxes: Boxes) -> NDArray[np.float64]:
    """Areas of boxes (n, 4), float64 (n,)."""
    sides = boxes.astype(np.float64)
    return np.asarray((sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1]), np.float64)
