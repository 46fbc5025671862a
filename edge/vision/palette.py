"""Colours for classes that have none: as far apart as they can be, also for who does not tell red from green."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

_LEVELS = tuple(range(0, 256, 15))
_LIGHTNESS = (25.0, 92.0)  # neither black nor white over a frame
_LEAST_CHROMA = 20.0  # nor grey
_WHITE_D65 = (0.950456, 1.0, 1.088754)
_SRGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)


_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# From linear RGB to what is seen of it: Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009, severity 1.0.
Deficiency = Literal["protanopia", "deuteranopia"]
_SEEN: Mapping[Deficiency, tuple[tuple[float, float, float], ...]] = MappingProxyType(
    {
        "protanopia": (
            (0.152286, 1.052583, -0.204868),
            (0.114503, 0.786281, 0.099216),
            (-0.003882, -0.048116, 1.051998),
        ),
        "deuteranopia": (
            (0.367322, 0.860646, -0.227968),
            (0.280085, 0.672501, 0.047413),
            (-0.011820, 0.042940, 0.968881),
        ),
    }
)


@cache
def default_palette(classes: int) -> tuple[Colour, ...]:
    """RGB colours, each the one farthest from all before it: those of few classes begin those of many.

    The distance of two colours is that in CIE Lab, or the one that is left of it without the cones for long or for
    middle waves (protanopia, deuteranopia: 2 of 100 men), where that is smaller. Gonzalez 1985 (farthest-first
    traversal) over a grid of colours that are neither grey nor near black or white.
    """
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = lab_of(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    vivid = (lab[:, 0] >= _LIGHTNESS[0]) & (lab[:, 0] <= _LIGHTNESS[1]) & (chroma >= _LEAST_CHROMA)
    grid, lab, chroma = grid[vivid], lab[vivid], chroma[vivid]
    views = np.stack([lab, *(lab_of(seen_with(name, grid)) for name in _SEEN)])  # (3, n, 3)
    chosen = int(np.argmax(chroma.round(6)))
    nearest = np.full(len(grid), np.inf)
    colours: list[Colour] = []
    for _ in range(classes):
        red, green, blue = grid[chosen].tolist()
        colours.append((red, green, blue))
        apart = np.linalg.norm(views - views[:, chosen, None], axis=2).min(axis=0)
        nearest = np.minimum(nearest, apart)
        chosen = int(np.argmax(nearest.round(6)))  # rounded: the first of equals on every machine
    return tuple(colours)


def least_distance(colours: Sequence[Colour]) -> float:
    """The smallest distance of two of the colours, as `default_palette` has it; infinite for fewer than two."""
    if len(colours) < 2:
        return float("inf")
    given = np.array(colours)
    views = np.stack([lab_of(given), *(lab_of(seen_with(name, given)) for name in _SEEN)])
    apart = np.linalg.norm(views[:, :, None] - views[:, None], axis=3)
    return float(apart[:, ~np.eye(len(given), dtype=bool)].min())


def seen_with(deficiency: Deficiency, colours: NDArray[Any]) -> NDArray[np.float64]:
    """sRGB colours 0..255, (..., 3), as they look without one kind of cones: the same range, not rounded."""
    linear = _linear(colours) @ np.array(_SEEN[deficiency]).T
    linear = linear.clip(0, 1)
    return np.asarray(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def contrast(first: Colour, second: Colour) -> float:
    """How far apart two colours are in lightness, from 1 to 21 (WCAG 2.1, contrast ratio): 4.5 is asked for text."""
    light, dark = sorted((float(_linear(np.array(colour)) @ _LUMINANCE) for colour in (first, second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab_of(colours: NDArray[Any]) -> NDArray[np.float64]:
    """CIE Lab (D65) of sRGB colours 0..255, (n, 3): distances in it are about those that the eye sees."""
    xyz = _linear(colours) @ np.array(_SRGB_TO_XYZ).T / np.array(_WHITE_D65)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _linear(colours: NDArray[Any]) -> NDArray[np.float64]:
    share = colours / 255.0
    return np.asarray(np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4))
