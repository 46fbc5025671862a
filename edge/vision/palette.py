"""Colours for classes that have none: as far apart as they can be for the eye."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

_LEVELS = tuple(range(0, 256, 15))
_LIGHTNESS = (35.0, 90.0)  # neither black nor white over a frame
_LEAST_CHROMA = 30.0  # nor grey
_WHITE_D65 = (0.950456, 1.0, 1.088754)
_SRGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)


@cache
def default_palette(classes: int) -> tuple[Colour, ...]:
    """RGB colours, each the one farthest in CIE Lab from all before it: those of few classes begin those of many.

    Gonzalez 1985 (farthest-first traversal) over a grid of colours that are neither grey nor near black or white.
    """
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = lab_of(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    vivid = (lab[:, 0] >= _LIGHTNESS[0]) & (lab[:, 0] <= _LIGHTNESS[1]) & (chroma >= _LEAST_CHROMA)
    grid, lab, chroma = grid[vivid], lab[vivid], chroma[vivid]
    chosen = int(np.argmax(chroma.round(6)))
    nearest = np.full(len(grid), np.inf)
    colours: list[Colour] = []
    for _ in range(classes):
        red, green, blue = grid[chosen].tolist()
        colours.append((red, green, blue))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen], axis=1))
        chosen = int(np.argmax(nearest.round(6)))  # rounded: the first of equals on every machine
    return tuple(colours)


def lab_of(colours: NDArray[np.int64]) -> NDArray[np.float64]:
    """CIE Lab (D65) of sRGB colours 0..255, (n, 3): distances in it are about those that the eye sees."""
    share = colours / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(_SRGB_TO_XYZ).T / np.array(_WHITE_D65)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
