"""Surfaces and light for drawn images: smooth noise, gradients, brightness, sensor noise, blur."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.drawing import Colour

Pixels = NDArray[np.uint8]


def smooth_noise(shape_hw: tuple[int, int], cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """float32 (h, w) in [-1, 1]: random values on a coarse grid of about `cells` cells across, interpolated."""
    height, width = shape_hw
    rows = max(2, round(cells * height / width))
    grid = rng.uniform(-1, 1, size=(rows, max(2, cells))).astype(np.float32)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def gradient(shape_hw: tuple[int, int], start: Colour, end: Colour, angle: float) -> Pixels:
    """RGB uint8 (h, w, 3): from one colour to another along a direction in radians (pi / 2: top to bottom)."""
    height, width = shape_hw
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    share = np.clip(np.float32(0.5) + x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)), 0, 1)
    colours = start.astype(np.float32) + (end - start).astype(np.float32) * share[..., None]
    return np.asarray(np.clip(colours, 0, 255), dtype=np.uint8)


def light(image: Pixels, rng: np.random.Generator, noise: tuple[float, float] = (2.0, 9.0)) -> Pixels:
    """One random light over a whole image: gain, gamma, uneven brightness, colour cast, blur and sensor noise.

    Args:
        image: RGB uint8 (h, w, 3).
        noise: range of the standard deviation, in grey levels.
    """
    height, width = image.shape[:2]
    levels = np.arange(256) / 255
    table = 255 * rng.uniform(0.65, 1.15) * levels[:, None] ** rng.uniform(0.75, 1.35)  # (256, 1)
    cast = rng.uniform(0.9, 1.1, size=3)
    toned = cv2.LUT(image, np.clip(table * cast, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.4:
        toned = cv2.GaussianBlur(toned, (0, 0), rng.uniform(0.4, 0.9))
    change = smooth_noise((height, width), 3, rng) * np.float32(rng.uniform(0, 40))  # (h, w)
    grain = rng.standard_normal((height, width, 3), dtype=np.float32) * np.float32(rng.uniform(*noise))
    return np.asarray(np.clip(toned + grain + change[..., None], 0, 255), dtype=np.uint8)
