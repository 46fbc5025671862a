"""An image with boxes as a model will see it, still in the image's own pixels, so that training cuts from them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import BoxArrays
from edge.vision.pixels import Geometry, placement

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]


def fitted(image: Pixels, target: BoxArrays, preprocess: Geometry, fill: Colour) -> tuple[Pixels, BoxArrays]:
    """The image as `preprocess.fit` takes it, not resized: whole, its centred window, or on a canvas; and its boxes.

    Of a window, boxes stay whose centre is in it, clipped. Stretched to the model's size, the result is what
    `edge.vision.pixels.resize` gives, but for a canvas whose border is no whole number of the image's pixels wide.

    Args:
        image: uint8 (h, w, 3). fill: colour of the canvas.
    """
    place = placement(image.shape[:2], preprocess)
    window, corner = image[place.in_frame], np.array([place.left, place.top], np.float32)
    size_wh = np.array([place.width, place.height], np.float32)
    boxes = target.boxes - np.tile(corner, 2)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres >= 0) & (centres < size_wh)).all(axis=1)
    border = _border(place.height / place.to_height, place.to_top, preprocess.height - place.to_height)
    sides = _border(place.width / place.to_width, place.to_left, preprocess.width - place.to_width)
    if any((*border, *sides)):
        drawn = cv2.copyMakeBorder(window, border[0], border[1], sides[0], sides[1], cv2.BORDER_CONSTANT, value=fill)
        window = np.asarray(drawn, dtype=np.uint8)
    before = np.tile(np.array([sides[0], border[0]], np.float32), 2)
    moved = boxes[inside].clip(0, np.tile(size_wh, 2)) + before
    return window, BoxArrays(boxes=moved, labels=target.labels[inside], ignored=target.ignored[inside])


def _border(step: float, before: int, both: int) -> tuple[int, int]:
    """Pixels of the image before and behind it, from those of the model's input."""
    return round(before * step), round((both - before) * step)
