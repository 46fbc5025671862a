"""A drawn street with its mask, seen by a camera of random height, direction and zoom: the generated scenes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.drawing import OBJECTS, Colour, Part, Points, apart_from, disc, draw_parts, draw_polygons, random_colour
from edge.data.lighting import gradient, light, smooth_noise

Pixels = NDArray[np.uint8]

SCENE_CLASSES = ("sky", "building", "road", "pavement", "tree", "car", "person", "sign")
SCENE_PALETTE = (
    (70, 130, 180),
    (128, 64, 64),
    (128, 64, 128),
    (244, 35, 232),
    (107, 142, 35),
    (0, 0, 142),
    (220, 20, 60),
    (250, 170, 30),
)
_SKY, _BUILDING, _ROAD, _PAVEMENT, _TREE, _CAR, _PERSON, _SIGN = range(8)
_FAR_M = 60.0
_NEAR_M = 2.0
_PLACES = 12  # that are tried for what must be in view


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What stands in a street: its class, heights and distances in metres (low, high), and how many at most.

    `apart`: where given, its middle is in the image, and so many widths of the image to the left or right of those of
    other such things; it is omitted where there is no such place.
    `breadth`: how many times as wide as it is drawn.
    """

    class_index: int
    height_m: tuple[float, float]
    depth_m: tuple[float, float]
    most: int
    on_road: bool = False
    apart: float | None = None
    breadth: float = 1.0


STANDING = {
    "car": Standing(class_index=_CAR, height_m=(1.3, 1.7), depth_m=(5, 30), most=4, on_road=True),
    "bus": Standing(class_index=_CAR, height_m=(2.6, 3.2), depth_m=(8, 30), most=1, on_road=True),
    "person": Standing(class_index=_PERSON, height_m=(1.5, 1.9), depth_m=(3, 14), most=6),
    "tree": Standing(class_index=_TREE, height_m=(4.0, 8.0), depth_m=(6, 30), most=4),
    "sign": Standing(class_index=_SIGN, height_m=(2.2, 3.4), depth_m=(4, 14), most=2),
    "traffic light": Standing(class_index=_SIGN, height_m=(2.6, 3.6), depth_m=(4, 14), most=2),
}


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera over the street: vanishing point and focal length in pixels, roll in radians."""

    vanishing_x: float
    horizon_y: float
    focal: float
    height_m: float
    roll: float

    def project(self, points: Points) -> Points:
        """Street coordinates (n, 3), metres right, up and ahead (> 0), to pixels (n, 2)."""
        scale = self.focal / points[:, 2]
        x, y = points[:, 0] * scale, (self.height_m - points[:, 1]) * scale
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return np.stack([self.vanishing_x + cos * x - sin * y, self.horizon_y + sin * x + cos * y], axis=1)


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """What is drawn on: image RGB uint8 (h, w, 3), mask uint8 (h, w), and the camera that looks at it."""

    image: Pixels
    mask: Pixels
    camera: Camera

    def quad(self, corners: Sequence[tuple[float, float, float]], colour: Colour, class_index: int) -> None:
        """Fill a flat quadrilateral given by street coordinates."""
        points = self.camera.project(np.array(corners, dtype=np.float64))
        draw_polygons(self.image, self.mask, points, colour, class_index)

    def paint(self, polygons: Sequence[Sequence[tuple[float, float, float]]], colour: Colour, width: int = 0) -> None:
        """Paint flat polygons (or lines) of street coordinates on what is there: the mask stays as it is."""
        if polygons:
            points = np.array(polygons, dtype=np.float64)  # (polygons, corners, 3)
            pixels = self.camera.project(points.reshape(-1, 3)).reshape(*points.shape[:2], 2)
            draw_polygons(self.image, None, pixels, colour, 0, width=width)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing as it will be drawn: its parts, float64 (2, 3) from their units to pixels, and where it stands."""

    kind: str
    class_index: int
    parts: list[Part]
    matrix: Points
    base: Points
    shadow: float | None


def scene(seed: int, shape_hw: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Draw one street.

    Args:
        seed: at least 0; the same seed and shape give the same pixels.
        shape_hw: height and width in pixels, each at least 32.

    Returns:
        RGB uint8 (h, w, 3), and uint8 (h, w) of indices in SCENE_CLASSES; every pixel has a class.
    """
    rng = np.random.default_rng([seed, 2])
    camera = street_camera(shape_hw, rng)
    canvas = street_sky(shape_hw, camera, rng)
    widths_m = street_widths(rng)
    draw_street(canvas, widths_m, rng)
    draw_things(canvas, street_things(shape_hw, camera, widths_m, STANDING, rng))
    return light(canvas.image, rng, noise=(1.0, 6.0)), canvas.mask


def street_camera(shape_hw: tuple[int, int], rng: np.random.Generator) -> Camera:
    """A camera of random height, direction and zoom."""
    height, width = shape_hw
    return Camera(
        vanishing_x=width * rng.uniform(0.2, 0.8),
        horizon_y=height * rng.uniform(0.3, 0.62),
        focal=width * rng.uniform(0.5, 1.0),
        height_m=rng.uniform(1.3, 4.0),
        roll=rng.uniform(-0.07, 0.07),
    )


def street_widths(rng: np.random.Generator) -> tuple[float, float]:
    """Metres from the middle of a street to its pavement, and across the pavement."""
    return rng.uniform(2.5, 6.0), rng.uniform(1.5, 4.5)


def street_sky(shape_hw: tuple[int, int], camera: Camera, rng: np.random.Generator) -> Canvas:
    """A canvas with nothing on it but the sky."""
    return Canvas(image=_sky(shape_hw, rng), mask=np.zeros(shape_hw, dtype=np.uint8), camera=camera)


def draw_street(canvas: Canvas, widths_m: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw the ground and the buildings, in place."""
    road_m, pavement_m = widths_m
    _ground(canvas, road_m, pavement_m, rng)
    if rng.random() < 0.5:
        _front(canvas, -30.0, 30.0, rng.uniform(4, 14), _FAR_M, random_colour(rng, 40, 220), rng)
    for side in (-1.0, 1.0):
        _row_of_buildings(canvas, side, road_m + pavement_m, rng)


def _sky(shape_hw: tuple[int, int], rng: np.random.Generator) -> Pixels:
    image = gradient(shape_hw, random_colour(rng, 90, 240), random_colour(rng, 120, 255), math.pi / 2)
    clouds = np.maximum(smooth_noise(shape_hw, int(rng.integers(4, 9)), rng), 0) * rng.uniform(0, 70)
    return np.asarray(np.clip(image + clouds[..., None], 0, 255), dtype=np.uint8)


def _ground(canvas: Canvas, road_m: float, pavement_m: float, rng: np.random.Generator) -> None:
    """Pavement slabs everywhere, the road with lane marks and grain in the middle."""
    grey = rng.uniform(50, 190)
    pavement = np.clip(grey + rng.uniform(-30, 30, size=3), 20, 230)
    road = np.clip(rng.uniform(40, 170) + rng.uniform(-15, 15, size=3), 20, 230)
    near = 0.3
    canvas.quad([(-400, 0, 400), (400, 0, 400), (60, 0, near), (-60, 0, near)], pavement, _PAVEMENT)
    joint, slab_m = pavement * rng.uniform(0.6, 0.85), rng.uniform(0.7, 1.6)
    edge_m = road_m + pavement_m
    joints = []
    for side in (-1.0, 1.0):
        inner, outer = side * road_m, side * (edge_m + 6)
        joints += [[(inner, 0, depth), (outer, 0, depth)] for depth in np.arange(near + slab_m, 25.0, slab_m)]
        columns = side * np.arange(road_m + slab_m, edge_m + 4, slab_m)
        joints += [[(x, 0, near), (x, 0, 40.0)] for x in columns]
    canvas.paint(joints, joint, width=1)
    before = canvas.mask == _PAVEMENT
    canvas.quad([(-road_m, 0, 400), (road_m, 0, 400), (road_m, 0, near), (-road_m, 0, near)], road, _ROAD)
    on_road = before & (canvas.mask == _ROAD)
    grain = rng.uniform(2, 9) * rng.standard_normal(int(on_road.sum()), dtype=np.float32)
    grained = np.clip(canvas.image[on_road] + grain[:, None], 0, 255)
    canvas.image[on_road] = grained.astype(np.uint8)
    mark = apart_from(road, rng, distance=150)
    lanes, dash_m, phase = int(rng.integers(1, 4)), rng.uniform(1.5, 4.0), rng.uniform(0, 3)
    marks = []
    for lane in range(1, lanes + 1):
        x = road_m * (2 * lane / (lanes + 1) - 1)
        for depth in np.arange(near + phase, 45.0, 2 * dash_m):
            end = depth + dash_m
            marks.append([(x - 0.09, 0, depth), (x + 0.09, 0, depth), (x + 0.09, 0, end), (x - 0.09, 0, end)])
    canvas.paint(marks, mark)
    for side in (-1.0, 1.0):
        kerb = [
            (side * road_m, 0, near),
            (side * (road_m + 0.2), 0, near),
            (side * (road_m + 0.2), 0, 80),
            (side * road_m, 0, 80),
        ]
        canvas.quad(kerb, pavement * rng.uniform(0.6, 1.3), _PAVEMENT)


def _row_of_buildings(canvas: Canvas, side: float, wall_m: float, rng: np.random.Generator) -> None:
    """Walls along one side of the street from far to near, with gaps, each with the face that looks at the camera."""
    ends = [_FAR_M]
    while ends[-1] > _NEAR_M:
        ends.append(ends[-1] - rng.uniform(5, 16))
    for far, near in pairwise(ends):
        start = max(near, _NEAR_M * 0.5)
        if rng.random() < 0.2:
            continue
        wall, roof_m = random_colour(rng, 40, 225), rng.uniform(4, 16)
        if rng.random() < 0.7:
            inner, outer = side * wall_m, side * (wall_m + 12)
            _front(canvas, min(inner, outer), max(inner, outer), roof_m, start, wall * 0.85, rng)
        x = side * wall_m
        canvas.quad([(x, 0, start), (x, roof_m, start), (x, roof_m, far), (x, 0, far)], wall, _BUILDING)
        glass = apart_from(wall, rng, distance=70)
        storey_m, bay_m = rng.uniform(2.6, 3.6), rng.uniform(1.8, 3.2)
        windows = []
        for bottom in np.arange(0.8, roof_m - 1.8, storey_m):
            top = bottom + storey_m * 0.5
            for depth in np.arange(start + 0.4, far - 1.2, bay_m):
                end = depth + bay_m * 0.5
                windows.append([(x, bottom, depth), (x, top, depth), (x, top, end), (x, bottom, end)])
        canvas.paint(windows, glass)


def _front(
    canvas: Canvas, left: float, right: float, roof_m: float, depth: float, wall: Colour, rng: np.random.Generator
) -> None:
    """A wall that faces the camera, with windows."""
    canvas.quad([(left, 0, depth), (left, roof_m, depth), (right, roof_m, depth), (right, 0, depth)], wall, _BUILDING)
    glass = apart_from(wall, rng, distance=70)
    storey_m, bay_m = rng.uniform(2.6, 3.6), rng.uniform(1.8, 3.6)
    windows = []
    for bottom in np.arange(0.8, roof_m - 1.8, storey_m):
        top = bottom + storey_m * 0.5
        for x in np.arange(left + 0.6, right - 1.2, bay_m):
            end = x + bay_m * 0.5
            windows.append([(x, bottom, depth), (x, top, depth), (end, top, depth), (end, bottom, depth)])
    canvas.paint(windows, glass)


def street_things(
    shape_hw: tuple[int, int],
    camera: Camera,
    widths_m: tuple[float, float],
    standing: Mapping[str, Standing],
    rng: np.random.Generator,
) -> list[Thing]:
    """Everything that stands in the street, the far before the near."""
    placed: list[tuple[float, float, str, float]] = []
    middles: list[Points] = []
    for name, kind in standing.items():
        for _ in range(int(rng.integers(0, kind.most + 1))):
            for _ in range(1 if kind.apart is None else _PLACES):
                depth, x, height_m = _placed(kind, widths_m, rng)
                middle = camera.project(np.array([[x, height_m / 2, depth]]))[0]
                if kind.apart is None or _is_free(middle, middles, kind.apart, shape_hw):
                    placed.append((depth, x, name, height_m))
                    middles += [middle] * (kind.apart is not None)
                    break
    things = []
    for depth, x, name, height_m in sorted(placed, reverse=True):
        base = camera.project(np.array([[x, 0.0, depth]]))[0]
        scale = camera.focal * height_m / depth
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        cos, sin = math.cos(camera.roll), math.sin(camera.roll)
        linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror * standing[name].breadth * scale, scale])
        things.append(
            Thing(
                kind=name,
                class_index=standing[name].class_index,
                parts=OBJECTS[name](rng),
                matrix=np.hstack([linear, (base - linear @ np.array([0.0, 1.0]))[:, None]]),
                base=base,
                shadow=scale * 1.3 if standing[name].on_road else None,
            )
        )
    return things


def _is_free(middle: Points, others: Sequence[Points], apart: float, shape_hw: tuple[int, int]) -> bool:
    """Whether a pixel lies in the image, and to the left or right of all others by `apart` of its width."""
    height, width = shape_hw
    inside = 0 <= middle[0] < width and 0 <= middle[1] < height
    return bool(inside and all(abs(middle[0] - other[0]) > apart * width for other in others))


def _placed(kind: Standing, widths_m: tuple[float, float], rng: np.random.Generator) -> tuple[float, float, float]:
    """Metres ahead, metres to the right and height."""
    road_m, pavement_m = widths_m
    depth = math.exp(rng.uniform(*np.log(kind.depth_m)))
    side = -1.0 if rng.random() < 0.5 else 1.0
    share = rng.uniform(0.15, 0.85)
    across = share * road_m if kind.on_road else road_m + share * pavement_m
    return depth, side * across, rng.uniform(*kind.height_m)


def draw_things(canvas: Canvas, things: Sequence[Thing]) -> None:
    """Draw them in this order, in place."""
    for thing in things:
        if thing.shadow is not None:
            _shadow(canvas.image, thing.base, thing.shadow)
        draw_parts(canvas.image, canvas.mask, thing.parts, thing.matrix, thing.class_index)


def _shadow(image: Pixels, base: Points, reach: float) -> None:
    """Darken an ellipse on the ground, in place."""
    height, width = image.shape[:2]
    shape = disc(float(base[0]), float(base[1]), reach, flatness=0.12)
    left, top = np.maximum(np.floor(shape.min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(shape.max(axis=0)).astype(int) + 1, (width, height))
    if left >= right or top >= bottom:
        return
    inside = np.zeros((bottom - top, right - left), dtype=np.uint8)
    cv2.fillPoly(inside, np.rint(shape - (left, top)).astype(np.int32)[None], 1)
    window = image[top:bottom, left:right]
    window[inside == 1] = (window[inside == 1] * 0.55).astype(np.uint8)
