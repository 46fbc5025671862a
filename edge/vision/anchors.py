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
SizeWh = tuple[float, float]

LOWEST_SCALE, HIGHEST_SCALE, SCALE_BEHIND_THE_LAST = 0.2, 0.95, 1.0
RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
"""Width by height, in order; behind them a square between this map's scale and the next."""
FIRST_SIZES = ((0.1, 1.0), (LOWEST_SCALE, 2.0), (LOWEST_SCALE, 1 / 2))
"""Scales and ratios of the first map, which has fewer."""
MOST_ANCHORS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AnchorMap:
    """One map: rows, columns, and the (height, width) of the anchors of each place, as shares of the image's sides.

    `step_hw` is the share of the image from one place to the next; None: the places fill the image, 1 / rows by
    1 / columns. Maps whose rows were rounded up have steps of their own: stride / height by stride / width.
    """

    rows: int
    columns: int
    sizes_hw: tuple[SizeHw, ...]
    step_hw: SizeHw | None = None

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or not self.sizes_hw:
            raise UsageError(f"a map of {self.rows}x{self.columns} places with {len(self.sizes_hw)} anchors each")
        for size in (*self.sizes_hw, *(() if self.step_hw is None else (self.step_hw,))):
            if len(size) != 2 or not all(math.isfinite(side) and side > 0 for side in size):
                raise UsageError(
                    f"an anchor or step of height and width {size}; both must be shares of the image above 0"
                )


@dataclass(frozen=True, kw_only=True)
class AnchorGrid:
    """All maps in the order of the outputs' rows; of a map its rows, columns, then the anchors of one place.

    `clipped`: centres, heights and widths are cut to 0 to 1, as some networks' training had them.
    """

    maps: tuple[AnchorMap, ...]
    clipped: bool = False

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
        """As plain data, from which `grid_of` makes it again; what is as usual is left out."""
        told = [{key: value for key, value in asdict(grid).items() if value is not None} for grid in self.maps]
        return {"maps": told, **({"clipped": True} if self.clipped else {})}


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
                step_hw=None if told.get("step_hw") is None else (float(told["step_hw"][0]), float(told["step_hw"][1])),
            )
            for told in plain["maps"]
        ),
        clipped=bool(plain.get("clipped", False)),
    )


def anchor_boxes(grid: AnchorGrid) -> Floats:
    """Every anchor as float32 (anchors, 4): centre y, centre x, height, width, as shares of the image's sides.

    The place (i, j) of a map of r x c places is centred at ((i + 0.5) / r, (j + 0.5) / c), or half a step more than i
    and j steps.
    """
    parts = []
    for told in grid.maps:
        boxes = np.empty((told.rows, told.columns, len(told.sizes_hw), 4), np.float64)
        down, right = (None, None) if told.step_hw is None else told.step_hw
        boxes[..., 0] = _centres(told.rows, down)[:, None, None]
        boxes[..., 1] = _centres(told.columns, right)[None, :, None]
        boxes[..., 2:] = told.sizes_hw
        parts.append(boxes.reshape(-1, 4))
    whole = np.concatenate(parts)
    return (whole.clip(0, 1) if grid.clipped else whole).astype(np.float32)


def _centres(places: int, step: float | None) -> NDArray[np.float64]:
    """Of the places along one side, in its shares."""
    centres = np.arange(places) + 0.5
    return np.asarray(centres / places if step is None else centres * step)


def strided_grid(
    size_hw: tuple[int, int], strides: Sequence[int], sizes_wh: Sequence[Sequence[SizeWh]], *, clipped: bool = False
) -> AnchorGrid:
    """Anchors told in pixels, per map: how far apart its places are, and the widths and heights at each.

    A map has ceil(side / stride) places along a side, the first centred half a stride from the edge (the priors of
    qfgaohao/pytorch-ssd, `vision/utils/box_utils.py` and of Linzaer's UltraFace, `define_img_size.py`).

    Args:
        size_hw: of the network's input.
        sizes_wh: per map, in the order of a place's anchors.
    """
    if len(strides) != len(sizes_wh) or min(strides, default=0) < 1:
        raise UsageError(f"strides {list(strides)} for {len(sizes_wh)} lists of sizes; one stride of 1 or more each")
    height, width = size_hw
    maps = tuple(
        AnchorMap(
            rows=-(-height // stride),
            columns=-(-width // stride),
            sizes_hw=tuple((high / height, wide / width) for wide, high in sizes),
            step_hw=(stride / height, stride / width),
        )
        for stride, sizes in zip(strides, sizes_wh, strict=True)
    )
    return AnchorGrid(maps=maps, clipped=clipped)


def anchors_sha256(anchors: Floats) -> str:
    """SHA-256 of the anchors' bytes, float32 little-endian (anchors, 4): whoever regenerates them can check it."""
    return hashlib.sha256(np.ascontiguousarray(anchors, "<f4").tobytes()).hexdigest()
