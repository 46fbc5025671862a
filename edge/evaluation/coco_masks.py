"""Masks as COCO's files hold them: run lengths, compressed or not, and polygons.

As cocodataset/cocoapi reads and draws them (common/maskApi.c). Runs go down the columns, the first one of zeros.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Mask = NDArray[np.bool_]
FINER = 5  # COCO draws polygons on a grid five times as fine
MOST_STEPS = 2**24  # of an outline on that grid, three million pixels


def coco_mask(segmentation: Any, shape_hw: tuple[int, int]) -> Mask:
    """One annotation's `segmentation` as a mask of the image's size, bool (h, w).

    Raises:
        UsageError: neither run lengths that fill the image nor polygons.
    """
    if isinstance(segmentation, Mapping):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if size != list(shape_hw):
            raise UsageError(f"run lengths of size {size}, the image has {list(shape_hw)} (height, width)")
        if isinstance(counts, bytes | str):
            text = counts if isinstance(counts, str) else counts.decode("latin-1")
            return _from_runs(_decompressed(text), shape_hw)
        if isinstance(counts, list) and all(type(count) is int for count in counts):
            return _from_runs(counts, shape_hw)
        raise UsageError("run lengths without `counts`")
    if not isinstance(segmentation, list) or not segmentation:
        raise UsageError("a segmentation is run lengths or a list of polygons")
    whole = np.zeros(shape_hw, np.bool_)
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise UsageError("a polygon is a list of x, y of at least three points")
        whole |= _drawn(polygon, shape_hw)
    return whole


def _from_runs(counts: Sequence[int], shape_hw: tuple[int, int]) -> Mask:
    height, width = shape_hw
    if any(count < 0 for count in counts) or sum(counts) != height * width:
        raise UsageError(f"run lengths add up to {sum(counts)}, the image has {height * width} pixels")
    values = np.arange(len(counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, counts).reshape(width, height).T)


def _decompressed(text: str) -> list[int]:
    """Five bits a character, least first, 32 for more to come; from the fourth on a count adds to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise UsageError("compressed run lengths hold what none can")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise UsageError("compressed run lengths end within a number")
    return counts


def _drawn(polygon: Sequence[float], shape_hw: tuple[int, int]) -> Mask:
    """A polygon's mask, as COCO draws it: where its outline on the finer grid crosses a column's middle it changes."""
    height, width = shape_hw
    if not all(isinstance(value, int | float) and -MOST_STEPS <= value <= MOST_STEPS for value in polygon):
        raise UsageError("a polygon has a point that is no number, or far outside every image")
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    steps = float(np.abs(points - np.roll(points, -1, axis=0)).max(axis=1).sum()) * FINER
    if steps > MOST_STEPS:
        raise UsageError(f"a polygon's outline is {steps / FINER:,.0f} pixels long, longer than of every image")
    fine = (FINER * points + 0.5).astype(np.int64)  # towards zero
    across, down = (np.concatenate(parts) for parts in zip(*_edges(fine), strict=True))
    moved = np.flatnonzero(across[1:] != across[:-1]) + 1
    left = np.where(across[moved] < across[moved - 1], across[moved], across[moved] - 1)
    column = (left + 0.5) / FINER - 0.5
    inside = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    top = np.minimum(down[moved], down[moved - 1])
    row = np.ceil(np.clip((top + 0.5) / FINER - 0.5, 0, height))
    places = column[inside].astype(np.int64) * height + row[inside].astype(np.int64)
    changes = np.bincount(places, minlength=height * width + 1)[: height * width]
    return np.ascontiguousarray((np.cumsum(changes) % 2 == 1).reshape(width, height).T)


def _edges(fine: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every point of every edge on the finer grid, x and y, one step at a time along its longer side."""
    found = []
    for (x0, y0), (x1, y1) in zip(fine, np.roll(fine, -1, axis=0), strict=True):
        steps = int(max(abs(x1 - x0), abs(y1 - y0)))
        flat = abs(x1 - x0) >= abs(y1 - y0)
        flip = x0 > x1 if flat else y0 > y1
        (xs, ys), (xe, ye) = ((x1, y1), (x0, y0)) if flip else ((x0, y0), (x1, y1))
        step = np.arange(steps, -1, -1) if flip else np.arange(steps + 1)
        slope = 0.0 if not steps else float(ye - ys) / steps if flat else float(xe - xs) / steps
        sloping = ((ys if flat else xs) + slope * step + 0.5).astype(np.int64)
        found.append((step + xs, sloping) if flat else (sloping, step + ys))
    return found
