"""Anchors: the boxes that a detector's outputs are relative to, as the few numbers that regenerate all of them.

Every place of every map has the same anchors, centred on the place (Liu et al., arXiv 1512.02325, section 2.2). Sizes
and order of `ssd_grid` are those of `multiple_grid_anchor_generator.py` of tensorflow/models: nothing is clipped.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Floats = NDArray[np.float32]
SizeHw = tuple[float, float]

LOWEST_SCALE, HIGHEST_SCALE, SCALE_BEHIND_THE_LAST = 0.2, 0.95, 1.0
RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
"""Width by height, in order; behind them a square between this map's scale and the next."""
FIRST_SIZES = ((0.1, 1.0), (LOWEST_SCALE, 2.0), (LOWEST_SCALE, 1 / 2))
"""Scales and ratios of the first map, which has fewer."""
MOST_ANCHORS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AnchorMap:
    """One map: rows, columns, and the (height, width) of the anchors of each place, as shares of the image's sides."""

    rows: int
    columns: int
    sizes_hw: tuple[SizeHw, ...]

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or not self.sizes_hw:
            raise UsageError(f"a map of {self.rows}x{self.columns} places with {len(self.sizes_hw)} anchors each")
        for size in self.sizes_hw:
            if len(size) != 2 or not all(math.isfinite(side) and side > 0 for side in size):
                raise UsageError(f"an anchor of height and width {size}; both must be shares of the image above 0")


@dataclass(frozen=True, kw_only=True)
class AnchorGrid:
    """All maps in the order of the outputs' rows; of a map its rows, columns, then the anchors of one place."""

    maps: tuple[AnchorMap, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_ANCHORS:
            raise UsageError(f"{self.count:,} anchors on {len(self.maps)} maps; 1 to {MOST_ANCHORS:,} are possible")

    @property
    def per_place(self) -> tuple[int, ...]:
        """Anchors of one place, by map."""
        return tuple(len(grid.sizes_hw) for grid in self.maps)

    @property
    def count(self) -> int:
        """How many anchors there are."""
        return sum(grid.rows * grid.columns * len(grid.sizes_hw) for grid in self.maps)

    @property
    def plain(self) -> dict[str, Any]:
        """As plain data, from which `grid_of` makes it again."""
        return asdict(self)


def ssd_grid(maps_hw: Sequence[tuple[int, int]]) -> AnchorGrid:
    """The anchors of SSD and SSDLite for maps of these rows and columns, the largest first, 2 or more.

    Scales go from 0.2 to 0.95 in equal steps. The first map has three anchors (a square of 0.1; 0.2 at 2 to 1 and 1 to
    2), the others five ratios and a square of the geometric mean of their scale and the next, which behind the last
    is 1. An anchor of scale s and ratio r is s / sqrt(r) high and s * sqrt(r) wide.
    """
    if len(maps_hw) < 2:
        raise UsageError(f"{len(maps_hw)} maps; scales go from the first to the last of 2 or more")
    step = (HIGHEST_SCALE - LOWEST_SCALE) / (len(maps_hw) - 1)
    scales = [*(LOWEST_SCALE + step * index for index in range(len(maps_hw))), SCALE_BEHIND_THE_LAST]
    maps = []
    for index, (rows, columns) in enumerate(maps_hw):
        between = math.sqrt(scales[index] * scales[index + 1])
        shapes = [*((scales[index], ratio) for ratio in RATIOS), (between, 1.0)] if index else FIRST_SIZES
        sizes = tuple((scale / math.sqrt(ratio), scale * math.sqrt(ratio)) for scale, ratio in shapes)
        maps.append(AnchorMap(rows=rows, columns=columns, sizes_hw=sizes))
    return AnchorGrid(maps=tuple(maps))


def grid_of(plain: dict[str, Any]) -> AnchorGrid:
    """The grid that `AnchorGrid.plain` told."""
    return AnchorGrid(
        maps=tuple(
            AnchorMap(
                rows=int(told["rows"]),
                columns=int(told["columns"]),
                sizes_hw=tuple((float(height), float(width)) for height, width in told["sizes_hw"]),
            )
            for told in plain["maps"]
        )
    )


def anchor_boxes(grid: AnchorGrid) -> Floats:
    """Every anchor as float32 (anchors, 4): centre y, centre x, height, width, as shares of the image's sides.

    The place (i, j) of a map of r x c places is centred at ((i + 0.5) / r, (j + 0.5) / c).
    """
    parts = []
    for told in grid.maps:
        boxes = np.empty((told.rows, told.columns, len(told.sizes_hw), 4), np.float64)
        boxes[..., 0] = ((np.arange(told.rows) + 0.5) / told.rows)[:, None, None]
        boxes[..., 1] = ((np.arange(told.columns) + 0.5) / told.columns)[None, :, None]
        boxes[..., 2:] = told.sizes_hw
        parts.append(boxes.reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)


def anchors_sha256(anchors: Floats) -> str:
    """SHA-256 of the anchors' bytes, float32 little-endian (anchors, 4): whoever regenerates them can check it."""
    return hashlib.sha256(np.ascontiguousarray(anchors, "<f4").tobytes()).hexdigest()
