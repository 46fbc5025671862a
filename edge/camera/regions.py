"""A part of the picture, told in shares of its sides, and how much of it classes cover."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Point = tuple[float, float]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """A polygon.

    Attributes:
        corners: (x, y) from 0, the left or upper edge of the picture, to 1; three at least, in order around it.
    """

    corners: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.corners) < 3:
            raise UsageError(f"a region of {len(self.corners)} corners; at least 3 are needed")
        if not all(0 <= value <= 1 for corner in self.corners for value in corner):
            raise UsageError(f"a region with the corners {self.corners}; shares of the sides, from 0 to 1, are needed")

    def mask(self, size_hw: tuple[int, int]) -> Mask:
        """Which pixels of a picture or map have their centre in the polygon (even-odd rule): bool (h, w)."""
        return _mask(self.corners, size_hw)


WHOLE = Region(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


def class_share(
    class_map: NDArray[Any], classes: Collection[int], region: Region = WHOLE, *, unseen: int = 255
) -> float:
    """The share of a region that some classes cover, of those of its pixels that the model saw; nan where it saw none.

    Args:
        class_map: (h, w) of the whole frame at any resolution, class indices.
        unseen: the value of pixels that the model did not see.
    """
    inside = class_map[region.mask((class_map.shape[0], class_map.shape[1]))]
    counts = np.bincount(inside.astype(np.int64), minlength=256)
    seen = int(counts.sum() - counts[unseen])
    return float(sum(int(counts[index]) for index in set(classes))) / seen if seen else float("nan")


@lru_cache(maxsize=32)
def _mask(corners: tuple[Point, ...], size_hw: tuple[int, int]) -> Mask:
    height, width = size_hw
    y = (np.arange(height)[:, None] + 0.5) / height
    x = (np.arange(width)[None] + 0.5) / width
    inside = np.zeros(size_hw, np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y0 != y1:
            spans = (y >= min(y0, y1)) & (y < max(y0, y1))
            inside ^= spans & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    inside.setflags(write=False)
    return inside
