"""One drawn street object on clutter: the generated classification set.

Colour, size, place, tilt, background, light and occlusion are drawn independently of the class, so that only shape and
inner structure tell the classes apart and a linear model on pixels fails.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.drawing import OBJECTS, Colour, apart_from, disc, draw_parts, draw_polygons, random_colour
from edge.data.lighting import gradient, light, smooth_noise

Pixels = NDArray[np.uint8]

OBJECT_CLASSES = tuple(OBJECTS)


def object_image(seed: int, size: int) -> tuple[Pixels, int]:
    """Draw one object.

    Args:
        seed: at least 0; the same seed and size give the same pixels.
        size: height and width in pixels, at least 16.

    Returns:
        RGB uint8 (size, size, 3), and the index in OBJECT_CLASSES.
    """
    rng = np.random.default_rng([seed, 1])
    label = object_label(seed)
    parts = OBJECTS[OBJECT_CLASSES[label]](rng)
    image = _background(size, apart_from(parts[0].colour, rng), rng)
    points = np.vstack([part.points for part in parts])
    low, high = points.min(axis=0), points.max(axis=0)
    draw_parts(image, None, parts, _pose((low + high) / 2, float((high - low).max()), size, rng), 0)
    if rng.random() < 0.35:
        _occlude(image, rng)
    return light(image, rng, noise=(1.5, 6.0)), label


def object_label(seed: int) -> int:
    """The class that `object_image` draws from this seed, without drawing it; uniform over the classes."""
    return int(np.random.default_rng([seed, 3]).integers(len(OBJECT_CLASSES)))


def _background(size: int, colour: Colour, rng: np.random.Generator) -> Pixels:
    """A gradient with smooth stains, and 2 to 6 lines, boxes and round shapes that mean nothing."""
    end = np.clip(colour + rng.uniform(-60, 60, size=3), 0, 255)
    image = gradient((size, size), colour, end, rng.uniform(0, 2 * math.pi))
    stains = smooth_noise((size, size), int(rng.integers(3, 12)), rng) * rng.uniform(3, 25)
    image = np.clip(image + stains[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(0, size, size=2)
        reach = size * rng.uniform(0.05, 0.18)
        corners = int(rng.choice([3, 4, 5, 16]))
        shape = disc(x, y, reach, corners, rng.uniform(0, 6), rng.uniform(0.2, 1.0))
        width = int(rng.integers(1, 4)) if rng.random() < 0.5 else 0
        draw_polygons(image, None, shape, random_colour(rng), 0, width=width)
    return image


def _pose(centre: NDArray[np.float64], extent: float, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64 (2, 3): random size, stretch, tilt, mirror and place, the object mostly inside the image."""
    reach = rng.uniform(0.62, 0.95)
    scale = size * reach / extent
    tilt, stretch = rng.uniform(-0.22, 0.22), rng.uniform(0.85, 1.18)
    turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    linear = turn @ np.diag([mirror * scale * stretch, scale / stretch])
    slack = size * (1 - reach) / 2 + size * 0.06
    place = size / 2 + rng.uniform(-slack, slack, size=2)
    return np.hstack([linear, (place - linear @ centre)[:, None]])


def _occlude(image: Pixels, rng: np.random.Generator) -> None:
    """A bar across, or a patch over, part of the object."""
    size = image.shape[0]
    colour = tuple(int(value) for value in random_colour(rng))
    if rng.random() < 0.5:
        at, thickness = rng.uniform(0.15, 0.85, size=2) * size, max(1, round(size * rng.uniform(0.02, 0.06)))
        lean = rng.uniform(-0.3, 0.3) * size
        cv2.line(image, (round(at[0] - lean), 0), (round(at[0] + lean), size), colour, thickness, cv2.LINE_AA)
    else:
        left, top = (int(value) for value in rng.uniform(0.1, 0.7, size=2) * size)
        width, height = (int(value) for value in rng.uniform(0.1, 0.25, size=2) * size)
        cv2.rectangle(image, (left, top), (left + width, top + height), colour, cv2.FILLED)
