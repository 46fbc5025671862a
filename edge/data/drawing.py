"""Street objects as flat shapes, each time with other proportions and colours: what the generated sets are made of.

An object is a list of parts in its own units: x to the right around 0, y down from 0 (top) to 1 (the ground), so that
it is one unit high; wide objects reach beyond x = 0.5. Drawing maps them through a 2x3 matrix to pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
Colour = NDArray[np.float64]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """A filled polygon, or with `width` > 0 a line of that width. points: float64 (n, 2); colour: RGB 0..255."""

    points: Points
    colour: Colour
    width: float = 0.0


def draw_parts(image: Pixels | None, mask: Pixels | None, parts: list[Part], matrix: Points, class_index: int) -> None:
    """Draw an object in place: where given, RGB in the image (antialiased) and its class in the mask.

    Args:
        matrix: float64 (2, 3), object units to pixels.
    """
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    for part in parts:
        points = part.points @ matrix[:, :2].T + matrix[:, 2]
        width = max(1, round(part.width * scale)) if part.width else 0
        draw_polygons(image, mask, points, part.colour, class_index, width=width)


def draw_polygons(
    image: Pixels | None, mask: Pixels | None, polygons: Points, colour: Colour, class_index: int, width: int = 0
) -> None:
    """Draw filled polygons that do not overlap, or open lines `width` pixels wide, in place.

    Args:
        polygons: float64 (polygons, corners, 2) in pixels, or one as (corners, 2).
    """
    limit = 1 << 14
    exact = np.rint(np.clip(polygons, -limit, limit) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    outlines = list(exact.reshape(-1, *exact.shape[-2:]))
    rgb = tuple(int(value) for value in np.clip(colour, 0, 255))
    if image is not None and width:
        cv2.polylines(image, outlines, False, rgb, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    elif image is not None:
        cv2.fillPoly(image, outlines, rgb, cv2.LINE_AA, _SUBPIXEL_BITS)
    if mask is not None and width:
        cv2.polylines(mask, outlines, False, class_index, width, cv2.LINE_8, _SUBPIXEL_BITS)
    elif mask is not None:
        cv2.fillPoly(mask, outlines, class_index, cv2.LINE_8, _SUBPIXEL_BITS)


def random_colour(rng: np.random.Generator, low: float = 25, high: float = 235) -> Colour:
    """An RGB colour, uniform per channel."""
    return rng.uniform(low, high, size=3)


def apart_from(colour: Colour, rng: np.random.Generator, distance: float = 90) -> Colour:
    """A random colour whose mean grey differs from another's by at least a third of `distance`, or nearly so."""
    found = random_colour(rng)
    for _ in range(8):
        if abs(found.mean() - colour.mean()) * 3 >= distance:
            break
        found = random_colour(rng)
    return found


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of an upright rectangle, float64 (4, 2)."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def disc(x: float, y: float, radius: float, corners: int = 20, turn: float = 0.0, flatness: float = 1.0) -> Points:
    """A regular polygon, round enough for a circle by default; its height is `flatness` times its width."""
    angle = turn + np.arange(corners) * (2 * math.pi / corners)
    return np.stack([x + radius * np.cos(angle), y + flatness * radius * np.sin(angle)], axis=1)


def car(rng: np.random.Generator) -> list[Part]:
    """Side view: a low body, a cabin with two windows, two wheels."""
    body, glass, tyre = random_colour(rng), random_colour(rng, 20, 220), random_colour(rng, 10, 70)
    half, front, back = rng.uniform(1.1, 1.45), rng.uniform(0.25, 0.6), rng.uniform(0.55, 1.0)
    sill, belt, radius = 0.84, rng.uniform(0.4, 0.5), rng.uniform(0.17, 0.22)
    cabin = np.array([[-back, belt], [-back + 0.3, 0.0], [front, 0.0], [front + 0.35, belt]])
    middle = (front - back) / 2 + 0.15
    parts = [
        Part(points=cabin, colour=body),
        Part(
            points=np.array(
                [[-half, belt + 0.05], [half * 0.8, belt], [half, belt + 0.16], [half, sill], [-half, sill]]
            ),
            colour=body,
        ),
        Part(
            points=np.array([[-back + 0.14, belt], [-back + 0.36, 0.09], [middle - 0.05, 0.09], [middle - 0.05, belt]]),
            colour=glass,
        ),
        Part(
            points=np.array([[middle + 0.05, belt], [middle + 0.05, 0.09], [front - 0.04, 0.09], [front + 0.2, belt]]),
            colour=glass,
        ),
        Part(points=box(half - 0.12, belt + 0.18, half, belt + 0.28), colour=random_colour(rng, 150, 255)),
    ]
    for x in (-0.62 * half, 0.6 * half):
        parts.append(Part(points=disc(x, 1 - radius, radius), colour=tyre))
        parts.append(Part(points=disc(x, 1 - radius, radius * 0.5), colour=tyre + 90))
    return parts


def bus(rng: np.random.Generator) -> list[Part]:
    """Side view: a tall box with a row of equal windows and small wheels."""
    body, glass, tyre = random_colour(rng), random_colour(rng, 20, 220), random_colour(rng, 10, 70)
    half, windows, radius = rng.uniform(0.9, 1.25), int(rng.integers(4, 7)), rng.uniform(0.1, 0.13)
    top, bottom = rng.uniform(0.1, 0.18), rng.uniform(0.42, 0.52)
    parts = [Part(points=box(-half, 0.0, half, 0.92), colour=body)]
    pitch = 2 * half / windows
    for index in range(windows):
        left = -half + pitch * (index + 0.12)
        parts.append(Part(points=box(left, top, left + pitch * 0.76, bottom), colour=glass))
    stripe = rng.uniform(0.58, 0.7)
    parts.append(Part(points=box(-half, stripe, half, stripe + 0.06), colour=apart_from(body, rng)))
    parts += [Part(points=disc(x * half, 1 - radius, radius), colour=tyre) for x in (-0.6, 0.55)]
    return parts


def bicycle(rng: np.random.Generator) -> list[Part]:
    """Side view: two large thin wheels and a frame of lines."""
    frame, tyre = random_colour(rng), random_colour(rng, 5, 120)
    radius, reach, width = rng.uniform(0.3, 0.36), rng.uniform(0.5, 0.62), rng.uniform(0.045, 0.07)
    hub = 1 - radius
    parts = []
    for x in (-reach, reach):
        rim = disc(x, hub, radius, corners=24)
        parts.append(Part(points=np.vstack([rim, rim[:1]]), colour=tyre, width=width))
    seat, crank, head = (-0.2, 0.3), (-0.05, hub + 0.03), (reach - 0.2, 0.28)
    for start, end in (
        ((-reach, hub), seat),
        (seat, head),
        (head, (reach, hub)),
        (crank, seat),
        (crank, head),
        ((-reach, hub), crank),
    ):
        parts.append(Part(points=np.array([start, end], dtype=np.float64), colour=frame, width=width * 1.1))
    handle = np.array([[head[0] - 0.02, 0.1], [head[0], 0.28]])
    parts.append(Part(points=handle, colour=frame, width=width))
    parts.append(Part(points=np.array([[head[0] - 0.14, 0.1], [head[0] + 0.06, 0.08]]), colour=tyre, width=width * 1.3))
    parts.append(Part(points=np.array([[-0.32, 0.26], [-0.1, 0.26]]), colour=tyre, width=width * 1.6))
    return parts


def person(rng: np.random.Generator) -> list[Part]:
    """A head, a torso, two arms and two legs in some stride."""
    top, trousers, skin = random_colour(rng), random_colour(rng), random_colour(rng, 60, 230)
    stride, swing, build = rng.uniform(0.02, 0.2), rng.uniform(-0.18, 0.18), rng.uniform(0.1, 0.15)
    parts = [
        Part(points=np.array([[side * 0.05, 0.5], [side * stride, 0.98]]), colour=trousers, width=0.1)
        for side in (-1, 1)
    ]
    parts.append(
        Part(points=np.array([[-build, 0.2], [build, 0.2], [build * 0.8, 0.55], [-build * 0.8, 0.55]]), colour=top)
    )
    for side in (-1, 1):
        arm = np.array(
            [[side * build, 0.23], [side * (build + 0.05) + swing * side * 0.5, 0.38], [side * build + swing, 0.52]]
        )
        parts.append(Part(points=arm, colour=top * 0.85, width=0.06))
    parts.append(Part(points=disc(0, 0.09, 0.085, flatness=1.1), colour=skin))
    return parts


def tree(rng: np.random.Generator) -> list[Part]:
    """A trunk under a crown of overlapping round lumps, speckled with leaves."""
    leaf, bark = random_colour(rng), random_colour(rng, 30, 140)
    trunk = rng.uniform(0.03, 0.06)
    parts = [Part(points=box(-trunk, 0.5, trunk, 1.0), colour=bark)]
    lumps = int(rng.integers(5, 9))
    for _ in range(lumps):
        x, y = rng.uniform(-0.22, 0.22), rng.uniform(0.17, 0.5)
        shade = leaf * rng.uniform(0.75, 1.2)
        parts.append(Part(points=disc(x, y, rng.uniform(0.13, 0.2), corners=11, turn=rng.uniform(0, 1)), colour=shade))
    for _ in range(22):
        x, y = rng.uniform(-0.3, 0.3), rng.uniform(0.08, 0.58)
        if (x / 0.34) ** 2 + ((y - 0.33) / 0.28) ** 2 < 1:
            speck = disc(x, y, rng.uniform(0.015, 0.035), corners=5, turn=rng.uniform(0, 6))
            parts.append(Part(points=speck, colour=leaf * rng.uniform(0.45, 1.5)))
    return parts


def house(rng: np.random.Generator) -> list[Part]:
    """A wall with a grid of windows and a door, under a pitched or a flat roof."""
    wall = random_colour(rng)
    glass, roof = apart_from(wall, rng), apart_from(wall, rng, distance=40)
    half, eaves = rng.uniform(0.35, 0.6), rng.uniform(0.22, 0.38)
    parts = [Part(points=box(-half, eaves, half, 1.0), colour=wall)]
    if rng.random() < 0.75:
        parts.append(
            Part(
                points=np.array([[-half * 1.12, eaves], [rng.uniform(-0.15, 0.15), 0.0], [half * 1.12, eaves]]),
                colour=roof,
            )
        )
    else:
        parts.append(Part(points=box(-half * 1.05, eaves - 0.05, half * 1.05, eaves), colour=roof))
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    pitch_x, pitch_y = 2 * half / columns, (1 - eaves) / rows
    door = int(rng.integers(columns))
    for row in range(rows):
        for column in range(columns):
            left, top = -half + pitch_x * (column + 0.25), eaves + pitch_y * (row + 0.25)
            bottom = 1.0 if row == rows - 1 and column == door else top + pitch_y * 0.5
            parts.append(Part(points=box(left, top, left + pitch_x * 0.5, bottom), colour=glass))
    return parts


def sign(rng: np.random.Generator) -> list[Part]:
    """A plate (triangle, square, diamond, octagon or disc) with a rim and a bar, on a pole."""
    rim, pole = random_colour(rng), random_colour(rng, 60, 190)
    plate = apart_from(rim, rng)
    corners, turn = [(3, -math.pi / 2), (4, math.pi / 4), (4, 0.0), (8, math.pi / 8), (24, 0.0)][int(rng.integers(5))]
    radius = rng.uniform(0.2, 0.26)
    parts = [Part(points=np.array([[0.0, 0.3], [0.0, 1.0]]), colour=pole, width=0.05)]
    parts.append(Part(points=disc(0, 0.26, radius, corners, turn), colour=rim))
    parts.append(Part(points=disc(0, 0.26, radius * 0.72, corners, turn), colour=plate))
    if rng.random() < 0.7:
        slope = rng.uniform(-0.06, 0.06)
        bar = np.array([[-0.08, 0.27 - slope], [0.08, 0.27 + slope]])
        parts.append(Part(points=bar, colour=rim, width=0.045))
    return parts


def traffic_light(rng: np.random.Generator) -> list[Part]:
    """A box of three round lamps above each other, one of them lit, on a pole."""
    case, pole = random_colour(rng), random_colour(rng, 60, 190)
    half = rng.uniform(0.085, 0.12)
    lit, dark = int(rng.integers(3)), apart_from(case, rng, distance=60)
    parts = [
        Part(points=np.array([[0.0, 0.5], [0.0, 1.0]]), colour=pole, width=0.05),
        Part(points=box(-half, 0.0, half, 0.54), colour=case),
    ]
    for lamp in range(3):
        colour = random_colour(rng, 190, 255) if lamp == lit else dark
        parts.append(Part(points=disc(0, 0.1 + 0.17 * lamp, half * 0.68), colour=colour))
    return parts


OBJECTS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "car": car,
    "bus": bus,
    "bicycle": bicycle,
    "person": person,
    "tree": tree,
    "house": house,
    "sign": sign,
    "traffic light": traffic_light,
}
