"""Random changes of training images with boxes (Liu et al., SSD, arXiv 1512.02325, sections 2.2 and 3.6).

Zoom out, zoom in and flips are one window of the image and one affine warp, as in `edge.data.augment`; every random
number comes from the rng given.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.augment import ColourJitter, Pixels, jitter_colour
from edge.vision.box_overlaps import box_areas, box_overlaps

Boxes = NDArray[np.float32]
Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]
Window = NDArray[np.float64]

TRIALS = 50  # patches that are drawn for an image, as SSD's own code does for a choice of overlap
WHOLE = 2.0  # the choice of no patch; overlaps are below
LEAST_VISIBLE = 0.25
"""A box that keeps a smaller share of its area is dropped: a window may be narrower than a box whose centre it has."""


@dataclass(frozen=True, kw_only=True)
class DetectionAugment:
    """Zoom out (expand), crop by overlap, flips and colour.

    Attributes:
        expand: the image is laid on a canvas of up to so many times its sides, uniform in [1, expand]; 1 never.
        expand_share: probability of that.
        crop_overlaps: with equal probability the image stays whole, or is cut to a patch that overlaps (intersection
            over union) a box whose centre it holds by at least this number. SSD's are 0.1, 0.3, 0.5, 0.7, 0.9 and, for
            any patch with a centre, 0; what no patch satisfies is drawn again. Empty: never cut.
        area: (low, high) share of the (expanded) image's area that a patch has, in (0, 1].
        aspect: (low, high) width / height of a patch over that of the image, sampled uniformly in the logarithm.
        flip, flip_vertical: probability of a left-right and of a top-bottom flip.
    """

    expand: float = 1.0
    expand_share: float = 0.5
    crop_overlaps: tuple[float, ...] = ()
    area: tuple[float, float] = (0.25, 1.0)
    aspect: tuple[float, float] = (0.75, 4.0 / 3.0)
    flip: float = 0.5
    flip_vertical: float = 0.0
    colour: ColourJitter = field(default_factory=ColourJitter)


def augment_detection(
    image: Pixels,
    boxes: Boxes,
    labels: Labels,
    ignored: Flags,
    size_hw: tuple[int, int],
    settings: DetectionAugment,
    rng: np.random.Generator,
    fill: tuple[int, int, int] = (128, 128, 128),
) -> tuple[Pixels, Boxes, Labels, Flags]:
    """Zoom out, cut a patch, stretch it to a size, flip, change colours.

    A box stays if its centre lies in the patch and the patch shows LEAST_VISIBLE of it; what is ignored (a crowd, a
    difficult object) stays ignored while any of it is seen. Boxes are clipped to the patch.

    Args:
        image: RGB uint8 (h, w, 3).
        boxes: float32 (n, 4), x0 y0 x1 y1 in pixels of the image; labels: int64 (n,); ignored: bool (n,).
        size_hw: height and width of the result.
        fill: colour of the canvas around the image.

    Returns:
        RGB uint8 (height, width, 3), and boxes in its pixels, float32 (m, 4), labels int64 (m,), ignored bool (m,).
    """
    size_wh = np.array([image.shape[1], image.shape[0]], np.float64)
    window = np.concatenate([np.zeros(2), size_wh])  # x0 y0 x1 y1 of what is seen, in pixels of the image
    if settings.expand > 1 and rng.random() < settings.expand_share:
        window = _expanded(size_wh, rng.uniform(1.0, settings.expand), rng)
    if settings.crop_overlaps:
        window = _patch(window, boxes[~ignored], settings, rng)
    mirrored = np.array([rng.random() < settings.flip, rng.random() < settings.flip_vertical])
    warped = _warped(image, window, size_hw, mirrored, fill)
    kept = _kept(boxes, ignored, window)
    moved = _moved(boxes[kept], window, size_hw, mirrored)
    return jitter_colour(warped, settings.colour, rng), moved, labels[kept], ignored[kept]


def _expanded(size_wh: NDArray[np.float64], ratio: float, rng: np.random.Generator) -> Window:
    """A canvas of `ratio` times the image's sides, on which the image lies anywhere."""
    corner = -rng.uniform(0.0, 1.0, 2) * (ratio - 1.0) * size_wh
    return np.concatenate([corner, corner + ratio * size_wh])


def _patch(window: Window, boxes: Boxes, settings: DetectionAugment, rng: np.random.Generator) -> Window:
    """A patch of the window, or all of it: choices are drawn until one can be satisfied."""
    area = rng.uniform(*settings.area, size=TRIALS)
    low, high = settings.aspect
    aspect = np.exp(rng.uniform(math.log(low), math.log(high), size=TRIALS))
    shares = np.sqrt(np.stack([area * aspect, area / aspect], axis=1))  # (trials, 2), of width and height
    corners = rng.uniform(0.0, 1.0, (TRIALS, 2)) * (1.0 - shares)
    side = np.tile(window[2:] - window[:2], 2)
    patches = np.tile(window[:2], 2) + np.concatenate([corners, corners + shares], axis=1) * side
    overlaps = np.where(_holds_centre(patches[:, None], boxes[None]), box_overlaps(patches, boxes), -1.0)
    best = overlaps.max(axis=1) if len(boxes) else np.ones(TRIALS)  # an image without boxes is cut anywhere
    best[(shares > 1.0).any(axis=1)] = -1.0
    for choice in rng.permutation([*settings.crop_overlaps, WHOLE]):
        if choice == WHOLE:
            return window
        good = np.flatnonzero(best >= choice)
        if good.size:
            return np.asarray(patches[good[0]])
    return window


def _holds_centre(windows: Window, boxes: Boxes) -> Flags:
    """Whether windows (..., 4) hold the centres of boxes (..., 4)."""
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    return np.asarray(((windows[..., :2] <= centres) & (centres < windows[..., 2:])).all(axis=-1))


def _kept(boxes: Boxes, ignored: Flags, window: Window) -> Flags:
    shown = box_areas(_clipped(boxes, window))
    held = _holds_centre(window, boxes) & (shown >= LEAST_VISIBLE * box_areas(boxes))
    return np.asarray((shown > 0) & (held | ignored))


def _clipped(boxes: Boxes, window: Window) -> NDArray[np.float64]:
    return np.asarray(boxes.astype(np.float64).clip(np.tile(window[:2], 2), np.tile(window[2:], 2)))


def _moved(boxes: Boxes, window: Window, size_hw: tuple[int, int], mirrored: Flags) -> Boxes:
    """Boxes of the image, clipped to the window, in pixels of the result."""
    size_wh = np.array(size_hw[::-1], np.float64)
    steps = size_wh / (window[2:] - window[:2])
    corners = (_clipped(boxes, window).reshape(-1, 2, 2) - window[:2]) * steps  # (n, low and high corner, x and y)
    corners = np.where(mirrored, size_wh - corners[:, ::-1], corners)
    return corners.reshape(-1, 4).astype(np.float32)


def _warped(
    image: Pixels, window: Window, size_hw: tuple[int, int], mirrored: Flags, fill: tuple[int, int, int]
) -> Pixels:
    size_wh = np.array(size_hw[::-1], np.float64)
    steps = (window[2:] - window[:2]) / size_wh
    # Pixel centres: source = corner + (target + 0.5) * step - 0.5; mirrored, from the other corner and backwards.
    start = np.where(mirrored, window[2:], window[:2])
    steps = np.where(mirrored, -steps, steps)
    to_source = np.column_stack([np.diag(steps), start + 0.5 * steps - 0.5])
    inside = (window[:2] >= 0).all() and (window[2:] <= image.shape[1::-1]).all()
    warped = cv2.warpAffine(
        image,
        to_source,
        size_hw[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if inside else cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    return np.asarray(warped, dtype=np.uint8)
