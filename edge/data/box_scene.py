"""A drawn street with boxes around what stands in it: the generated detection set.

The street is that of `edge.data.scene`, but narrower; its things stand nearer, in view and beside each other more than
behind, and the thin ones are broader, so that a small network sees them: of SSDLite's anchors at 192x192 (`ssd_grid`)
1.6 to 3.5 overlap a box by half, in the mean of a class, and 7 to 16 by 0.35.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import Box, BoxTarget
from edge.data.drawing import draw_parts
from edge.data.lighting import light
from edge.data.scene import (
    STANDING,
    Camera,
    Thing,
    draw_street,
    draw_things,
    street_camera,
    street_sky,
    street_things,
)

Pixels = NDArray[np.uint8]

_ROAD_M, _PAVEMENT_M = (1.6, 3.0), (1.0, 2.0)  # from the middle, and across
_APART = 0.13
# In the order in which they find a place: the later find fewer.
_STANDING = {
    "person": replace(STANDING["person"], depth_m=(2.8, 5.0), most=3, apart=_APART, breadth=1.5),
    "sign": replace(STANDING["sign"], depth_m=(2.5, 5.0), most=2, apart=_APART, breadth=1.25),
    "traffic light": replace(STANDING["traffic light"], depth_m=(3.0, 6.0), most=2, apart=_APART, breadth=1.7),
    "bus": replace(STANDING["bus"], depth_m=(8.0, 16.0), most=1, apart=_APART),
    "car": replace(STANDING["car"], depth_m=(4.5, 10.0), most=2, apart=_APART),
    "tree": replace(STANDING["tree"], most=2),
}
BOX_CLASSES = ("car", "bus", "person", "sign", "traffic light")
_ON_A_POLE = ("sign", "traffic light")  # which is the first of their parts

LEAST_SEEN, LEAST_WITHIN, LEAST_SIDE = 0.6, 0.6, 0.04
_LEAST_PIXELS = 6  # less is not even ignored


def box_scene(seed: int, shape_hw: tuple[int, int]) -> Pixels:
    """Draw one street, RGB uint8 (h, w, 3).

    Args:
        seed: at least 0; the same seed and shape give the same pixels.
        shape_hw: height and width in pixels, each at least 32.
    """
    camera, widths_m, things = boxed_street(seed, shape_hw)
    rng = np.random.default_rng([seed, 7])
    canvas = street_sky(shape_hw, camera, rng)
    draw_street(canvas, widths_m, rng)
    draw_things(canvas, things)
    return light(canvas.image, rng, noise=(1.0, 6.0))


def scene_boxes(seed: int, shape_hw: tuple[int, int]) -> BoxTarget:
    """The boxes of what is seen in `box_scene` of its cars, buses, persons, signs and traffic lights.

    A sign's is around its plate and a traffic light's around its case, as in sets of photographs: without the pole.
    Ignored is a thing of which nearer ones leave less than LEAST_SEEN, one with less than LEAST_WITHIN of its extent in
    the image, and a box with a side below LEAST_SIDE of the image's height.

    Returns:
        Boxes in pixels, labels in BOX_CLASSES, the far before the near.
    """
    nearer = np.zeros(shape_hw, dtype=np.bool_)
    boxes = []
    for thing in reversed(boxed_street(seed, shape_hw)[2]):
        boxed = without_pole(thing)
        drawn = _outline(boxed, shape_hw)
        if thing.kind in BOX_CLASSES and (box := _box(boxed, drawn, drawn & ~nearer)) is not None:
            boxes.append(box)
        nearer |= drawn if boxed is thing else _outline(thing, shape_hw)
    return BoxTarget(tuple(reversed(boxes)))


def boxed_street(seed: int, shape_hw: tuple[int, int]) -> tuple[Camera, tuple[float, float], list[Thing]]:
    """Camera, the street's widths and what stands in it: all that boxes follow from."""
    rng = np.random.default_rng([seed, 6])
    camera, widths_m = street_camera(shape_hw, rng), (rng.uniform(*_ROAD_M), rng.uniform(*_PAVEMENT_M))
    return camera, widths_m, street_things(shape_hw, camera, widths_m, _STANDING, rng)


def without_pole(thing: Thing) -> Thing:
    """What a box is around: all of a thing, but its pole."""
    return replace(thing, parts=thing.parts[1:]) if thing.kind in _ON_A_POLE else thing


def _outline(thing: Thing, shape_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Where a thing is drawn: bool (h, w)."""
    outline = np.zeros(shape_hw, dtype=np.uint8)
    draw_parts(None, outline, thing.parts, thing.matrix, 1)
    return outline.astype(np.bool_)


def _box(thing: Thing, drawn: NDArray[np.bool_], seen: NDArray[np.bool_]) -> Box | None:
    """The box around what is seen of what was drawn, bool (h, w) each; None: too little to say anything."""
    pixels = int(seen.sum())
    if pixels < _LEAST_PIXELS:
        return None
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    small = min(bottom - top, right - left) < LEAST_SIDE * seen.shape[0]
    hidden = pixels < LEAST_SEEN * int(drawn.sum()) or _within(thing, seen.shape) < LEAST_WITHIN
    label = BOX_CLASSES.index(thing.kind)
    return Box(float(left), float(top), float(right), float(bottom), label, ignored=small or hidden)


def _within(thing: Thing, shape_hw: tuple[int, ...]) -> float:
    """The share of a thing's upright extent that lies in the image."""
    points = np.vstack([part.points for part in thing.parts]) @ thing.matrix[:, :2].T + thing.matrix[:, 2]
    low, high = points.min(axis=0), points.max(axis=0)
    inside = np.clip(np.minimum(high, shape_hw[1::-1]) - np.maximum(low, 0), 0, None)
    return float(np.prod(inside / (high - low)))
