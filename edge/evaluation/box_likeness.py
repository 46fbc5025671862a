"""What two detectors say alike of one image: boxes of the same class in the same place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.vision.box_overlaps import box_overlaps

Rows = NDArray[np.floating[Any]]


def alike_boxes(first: Rows, second: Rows, overlap: float = 0.5) -> tuple[int, int]:
    """Pairs of boxes of one class that overlap (intersection over union) by at least `overlap`, one to one.

    The pair that overlaps most is made first; scores do not matter, so that the order of the two is none either.

    Args:
        first, second: (n, 6) and (m, 6): x0 y0 x1 y1 in one unit, score, label.

    Returns:
        Pairs, and pairs plus the boxes of both that are in none: one too many costs as much as one that is missing.
    """
    near = box_overlaps(first[:, :4], second[:, :4])
    near[first[:, 5][:, None] != second[:, 5][None]] = 0.0
    rows, columns = np.nonzero(near >= overlap)
    left, right = set(range(len(first))), set(range(len(second)))
    for pair in np.argsort(-near[rows, columns], kind="stable"):
        one, other = int(rows[pair]), int(columns[pair])
        if one in left and other in right:
            left.remove(one)
            right.remove(other)
    alike = len(first) - len(left)
    return alike, alike + len(left) + len(right)
