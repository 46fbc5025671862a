"""One drawn shape whose attributes are independent of each other: the generated multi-label set.

Place, tilt, hue, background and light vary freely around what the attributes say.
"""

import colorsys
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.drawing import Colour, box, disc, draw_polygons, random_colour
from edge.data.lighting import gradient, light, smooth_noise

Pixels = NDArray[np.uint8]

ATTRIBUTES = {
    "round": 0.5,  # a disc, not a polygon of three or four corners
    "warm": 0.4,  # red to yellow, not green to blue
    "large": 0.5,
    "striped": 0.3,
    "outlined": 0.25,
    "dark background": 0.35,
}
"""Name to how often it holds."""


def attribute_truth(seed: int) -> tuple[int, ...]:
    """1 or 0 for each of ATTRIBUTES: what `attribute_image` draws from this seed."""
    drawn = np.random.default_rng([seed, 4]).random(len(ATTRIBUTES))
    return tuple(int(value < share) for value, share in zip(drawn, ATTRIBUTES.values(), strict=True))


def attribute_image(seed: int, size: int) -> Pixels:
    """Draw one shape.

    Args:
        seed: at least 0; the same seed and size give the same pixels.
        size: height and width in pixels, at least 16.

    Returns:
        RGB uint8 (size, size, 3).
    """
    holds = dict(zip(ATTRIBUTES, attribute_truth(seed), strict=True))
    rng = np.random.default_rng([seed, 5])
    image = _background(size, bool(holds["dark background"]), rng)
    radius = size * (rng.uniform(0.3, 0.42) if holds["large"] else rng.uniform(0.13, 0.2))
    x, y = size / 2 + rng.uniform(-1, 1, size=2) * (size * 0.47 - radius)
    corners = 24 if holds["round"] else int(rng.integers(3, 5))
    shape = disc(x, y, radius, corners, rng.uniform(0, 2 * math.pi))
    colour = _colour(bool(holds["warm"]), rng)
    draw_polygons(image, None, shape, colour, 0)
    if holds["striped"]:
        _stripe(image, shape, radius, colour, rng)
    if holds["outlined"]:
        dark = image.mean() > 110
        closed = np.vstack([shape, shape[:1]])
        draw_polygons(image, None, closed, np.full(3, 15.0 if dark else 245.0), 0, width=max(2, round(radius * 0.14)))
    return light(image, rng, noise=(1.5, 6.0))


def _background(size: int, dark: bool, rng: np.random.Generator) -> Pixels:
    """A grey gradient with smooth stains and 0 to 3 thin lines."""
    low, high = (15, 75) if dark else (150, 235)
    ends = [np.clip(rng.uniform(low, high) + rng.uniform(-12, 12, size=3), 0, 255) for _ in range(2)]
    image = gradient((size, size), ends[0], ends[1], rng.uniform(0, 2 * math.pi))
    stains = smooth_noise((size, size), int(rng.integers(3, 10)), rng) * rng.uniform(2, 12)
    image = np.clip(image + stains[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        draw_polygons(image, None, rng.uniform(0, size, size=(2, 2)), random_colour(rng, 60, 190), 0, width=1)
    return image


def _colour(warm: bool, rng: np.random.Generator) -> Colour:
    hue = rng.uniform(-0.04, 0.15) if warm else rng.uniform(0.3, 0.68)
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1.0, rng.uniform(0.55, 1.0), rng.uniform(0.6, 1.0)))


def _stripe(image: Pixels, shape: NDArray[np.float64], radius: float, colour: Colour, rng: np.random.Generator) -> None:
    """Bars across the shape, darker or lighter than it, in place."""
    inside = np.zeros(image.shape[:2], np.uint8)
    draw_polygons(image.copy(), inside, shape, colour, 1)
    bars = image.copy()
    pitch, turn = radius * rng.uniform(0.45, 0.65), rng.uniform(0, math.pi)
    across = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    shade = colour * 0.4 if rng.random() < 0.5 else 255 - (255 - colour) * 0.35
    for at in np.arange(-3, 4) * pitch:
        bar = box(at - pitch / 4, -2 * radius, at + pitch / 4, 2 * radius) @ across + shape.mean(axis=0)
        draw_polygons(bars, None, bar, shade, 0)
    cv2.copyTo(bars, inside, image)
