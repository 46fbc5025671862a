"""Where the tags of boxes stand, so that the text of one is not under another's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.int64]
LINES = 8
"""How many lines of a box are tried."""


def tag_places(boxes: NDArray[Any], widths: Sequence[int], height: int, frame_hw: tuple[int, int]) -> Corners:
    """Upper left corners of one tag per box, in this order of precedence: where it is alone, else where least is taken.

    A tag stands above its box; where that is taken by an earlier one, or outside of the frame, within it, where the box
    is tall enough to be seen beside it; else below it, further down in it, or at its right edge in the same ways. Same
    boxes, same places.

    Args:
        boxes: integers (n, 4), x0, y0, x1, y1 in pixels of the frame.
        widths: of the tags, in pixels, at most the frame's. height: of every tag, at most the frame's.

    Returns:
        int64 (n, 2), x and y; every tag lies in the frame.
    """
    placed = np.zeros((0, 4), np.int64)
    for box, width in zip(np.asarray(boxes).tolist(), widths, strict=True):
        tags = _candidates(box, width, height, frame_hw)
        taken = _shared(tags, placed).sum(axis=1)
        placed = np.concatenate([placed, tags[np.argmin(taken)][None]])  # the first of the least
    return placed[:, :2]


def _candidates(box: Sequence[int], width: int, height: int, frame_hw: tuple[int, int]) -> Corners:
    """Corners of the places that lie in the frame, the preferred one first."""
    x0, y0, x1, y1 = box
    rows, columns = frame_hw
    within = range(y0, y1 - height + 1, height) if y1 - y0 >= 2 * height else range(0)
    tops = [top for top in (y0 - height, *within[:1], y1, *within[1:LINES]) if 0 <= top <= rows - height]
    tops = tops or [min(max(y0, 0), rows - height)]
    lefts = [min(max(left, 0), columns - width) for left in (x0, x1 - width)]
    return np.array([(left, top, left + width, top + height) for left in lefts for top in tops], np.int64)


def _shared(tags: Corners, placed: Corners) -> Corners:
    """Pixels that tags (n, 4) share with placed ones (m, 4), as (n, m)."""
    low = np.maximum(tags[:, None, :2], placed[None, :, :2])
    high = np.minimum(tags[:, None, 2:], placed[None, :, 2:])
    return np.asarray((high - low).clip(0).prod(axis=2))
