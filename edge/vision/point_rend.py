"""PointRend at inference: a coarse map is enlarged, and its uncertain points are predicted again.

Kirillov et al., arXiv 1912.08193, section 3.1: the map is enlarged twofold, the points where the two best classes are
nearest are predicted by a head that sees fine features and the coarse logits there, and so on. The coarse logits are
always those of the network, never of the map refined so far. Integers stay integers: points are chosen by the
difference of two logits, features and maps are resized as XNNPACK resizes 8-bit maps. Needs numpy alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.port import DescribedPort
from edge.vision.bilinear import WEIGHT_BITS, bilinear_neighbours

Array = npt.NDArray[Any]
CODES = 128
"""An integer q of features or coarse logits enters an INT8 head as q / 128, whatever its own scale."""
MAX_STEPS = 4
MAX_POINTS = 65536
STAGES = ("points", "features", "head")
"""Enlarging and choosing (and putting the answer in its place), gathering, and the head itself."""
MOST = 2000
"""The largest logit of a refined map, in steps of the coarse one's scale; 16 times as much is an int16."""


@dataclass(frozen=True, kw_only=True)
class PointRule:
    """How points are chosen.

    Attributes:
        steps: 0 to MAX_STEPS. Each enlarges the map, unless it would exceed the input's size, and predicts points.
        points: of each step; what the head takes at once.
        size_hw: of the network's input, in pixels.
    """

    steps: int
    points: int
    size_hw: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """A point head that runs.

    Attributes:
        given, answer: the head's input and output, `nhwc` (1, points, 1, channels) or `nchw` (1, channels, points, 1).
        run: the one to the other, raw.
        ended: called with one of STAGES where a stretch of such work ends.
    """

    rule: PointRule
    given: DescribedPort
    answer: DescribedPort
    run: Callable[[Array], Array]
    ended: Callable[[str], None] = lambda stage: None


def refined(outputs: tuple[Array, ...], told: tuple[DescribedPort, ...], points: Points) -> tuple[Array, DescribedPort]:
    """A network's coarse logits, refined at their uncertain points.

    Args:
        outputs: coarse logits and fine features of one image, raw, as `told` describes them.

    Returns:
        Logits (1, classes, height, width) and what they are: int16 in steps of the coarse logits' scale, zero point 0,
        or float32. Without a step the coarse logits as they came.
    """
    coarse = told[0]
    if points.rule.steps == 0:
        return outputs[0], coarse
    logits, sources = _coarse_planes(outputs[0], coarse), _sources(outputs, told)
    rescaled = None if coarse.zero_point is None else _rescaled(coarse, points.answer)
    for _ in range(points.rule.steps):
        logits = enlarged(logits, points.rule.size_hw)
        grid_hw = (logits.shape[1], logits.shape[2])
        chosen = uncertain(logits, points.rule.points)
        points.ended("points")
        given = _gathered(sources, chosen, grid_hw, coarse, points.given)
        points.ended("features")
        answer = _rows(points.run(given), points.answer)
        points.ended("head")
        new = answer if rescaled is None else rescaled[answer.astype(np.intp) - np.iinfo(answer.dtype).min]
        logits.reshape(len(logits), -1)[:, chosen] = new.T
        points.ended("points")
    described = replace(coarse, shape=(1, *logits.shape), layout="nchw")
    return logits[None], described if rescaled is None else replace(described, dtype="int16", zero_point=0)


def first_points(
    outputs: tuple[Array, ...], told: tuple[DescribedPort, ...], rule: PointRule, given: DescribedPort
) -> Array:
    """What the head is given in the first step: of a network's outputs alone, whatever the head answers."""
    logits = enlarged(_coarse_planes(outputs[0], told[0]), rule.size_hw)
    chosen = uncertain(logits, rule.points)
    return _gathered(_sources(outputs, told), chosen, (logits.shape[1], logits.shape[2]), told[0], given)


def enlarged(planes: Array, most_hw: tuple[int, int]) -> Array:
    """Planes (channels, h, w) at twice the size, half-pixel centres; as they are where that is more than `most_hw`.

    Weights are sixteenths, so this is exact; int16 rounds half up as XNNPACK's 8-bit resize does.
    """
    if 2 * planes.shape[1] > most_hw[0] or 2 * planes.shape[2] > most_hw[1]:
        return planes
    for axis in (1, 2):
        size = planes.shape[axis]
        before = np.take(planes, np.maximum(np.arange(size) - 1, 0), axis)
        after = np.take(planes, np.minimum(np.arange(size) + 1, size - 1), axis)
        three = 3 * planes
        pairs = np.stack([before + three, after + three], axis + 1)
        planes = pairs.reshape(*planes.shape[:axis], 2 * size, *planes.shape[axis + 1 :])
    return planes * np.float32(1 / 16) if planes.dtype.kind == "f" else (planes + np.int16(8)) >> np.int16(4)


def uncertain(planes: Array, count: int) -> npt.NDArray[np.intp]:
    """Where the two best classes are nearest: places of (classes, h, w) in the flat map (h * w), `count` of them.

    Of equally uncertain places the first ones. A map of fewer places gives them again until there are enough.
    """
    best, second = np.maximum(planes[0], planes[1]), np.minimum(planes[0], planes[1])
    for plane in planes[2:]:
        np.maximum(second, np.minimum(best, plane), out=second)
        np.maximum(best, plane, out=best)
    margin = (best - second).ravel()
    if margin.dtype.kind == "f":
        return np.resize(np.argsort(margin, kind="stable")[:count], count)
    if margin.size <= count:
        return np.resize(np.arange(margin.size), count)
    last = int(np.searchsorted(np.cumsum(np.bincount(margin)), count))  # the margin at which there are enough
    surer = np.flatnonzero(margin < last)
    return np.concatenate([surer, np.flatnonzero(margin == last)[: count - surer.size]])


def sample(rows: Array, size_hw: tuple[int, int], places: npt.NDArray[np.intp], grid_hw: tuple[int, int]) -> Array:
    """The values of a map at places of a finer grid over the same area, bilinear.

    Args:
        rows: (h * w, channels) of the map, `size_hw` its h and w; 8-bit integers or float32.
        places: (points,) in the flat grid (`grid_hw`).

    Returns:
        (points, channels), the map's dtype; integers by the formula of `edge.vision.bilinear`, rounded half up.
    """
    if size_hw == grid_hw:
        return rows[places]
    y, x = np.divmod(places, grid_hw[1])
    (top, bottom, down), (left, right, across) = (
        tuple(part[at] for part in bilinear_neighbours(size, grid, "half_pixel"))
        for at, size, grid in zip((y, x), size_hw, grid_hw, strict=True)
    )
    width, one = size_hw[1], 1 << WEIGHT_BITS
    corners = (
        (top * width + left, (one - down) * (one - across)),
        (top * width + right, (one - down) * across),
        (bottom * width + left, down * (one - across)),
        (bottom * width + right, down * across),
    )
    floats = rows.dtype.kind == "f"
    total: Array = np.zeros((places.size, rows.shape[1]), np.float32 if floats else np.int32)
    for cells, weight in corners:
        part = rows.take(cells, axis=0).astype(total.dtype)  # once: a product of two types is several times slower
        part *= weight[:, None].astype(total.dtype)
        total += part
    if floats:
        return np.asarray(total * np.float32(1 / one**2))
    return np.asarray(np.right_shift(total + one**2 // 2, 2 * WEIGHT_BITS), dtype=rows.dtype)


Source = tuple[Array, tuple[int, int]]
"""Values of a map, (h * w, channels), and its h and w."""


def _coarse_planes(output: Array, port: DescribedPort) -> Array:
    """Logits (classes, h, w): int16 without their zero point, or float32."""
    planes = np.moveaxis(output[0], -1, 0) if port.layout == "nhwc" else output[0]
    if port.zero_point is None:
        return np.ascontiguousarray(planes)
    return np.ascontiguousarray(planes).astype(np.int16) - np.int16(port.zero_point)


def _sources(outputs: tuple[Array, ...], told: tuple[DescribedPort, ...]) -> list[Source]:
    """Fine features, then coarse logits: the order of the head's channels."""
    return [(_rows(outputs[k], told[k]), _size_hw(told[k])) for k in (1, 0)]


def _gathered(
    sources: list[Source],
    chosen: npt.NDArray[np.intp],
    grid_hw: tuple[int, int],
    coarse: DescribedPort,
    given: DescribedPort,
) -> Array:
    sampled = [sample(rows, size_hw, chosen, grid_hw) for rows, size_hw in sources]
    return _as_given(np.concatenate(sampled, axis=1), coarse, given)


def _size_hw(port: DescribedPort) -> tuple[int, int]:
    return (port.shape[1], port.shape[2]) if port.layout == "nhwc" else (port.shape[2], port.shape[3])


def _rows(output: Array, port: DescribedPort) -> Array:
    """(1, h, w, channels) or (1, channels, h, w) as (h * w, channels)."""
    if port.layout == "nhwc":
        return output.reshape(-1, output.shape[3])
    return np.ascontiguousarray(output.reshape(output.shape[1], -1).T)


def _as_given(rows: Array, coarse: DescribedPort, given: DescribedPort) -> Array:
    """Sampled values (points, channels) as the head's input: integers as CODES says, whatever their zero point."""
    if given.zero_point is not None:
        shift = given.zero_point - (CODES if coarse.dtype == "uint8" else 0)
        rows = rows if shift == 0 else rows.astype(np.int16) + np.int16(shift)
    rows = rows.astype(given.dtype, copy=False)
    return rows[None, :, None, :] if given.layout == "nhwc" else np.ascontiguousarray(rows.T)[None, :, :, None]


def _rescaled(coarse: DescribedPort, answer: DescribedPort) -> npt.NDArray[np.int16]:
    """For each value of the head's 8-bit output, the least first, the logit in steps of the coarse map's scale."""
    assert coarse.scale is not None and answer.scale is not None and answer.zero_point is not None  # of integers
    limits = np.iinfo(answer.dtype)
    values = np.arange(limits.min, limits.max + 1) - answer.zero_point
    steps = np.rint(values * (np.float64(answer.scale) / np.float64(coarse.scale)))
    return np.clip(steps, -MOST, MOST).astype(np.int16)
