"""Baselines: images that are to say nothing, from which the path of integrated gradients starts."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.pixels import Geometry, Pixels

Reals = NDArray[np.float32]
BLUR = 10 / 224


def black(pixels: Pixels, preprocess: Geometry) -> Reals:
    """Zero everywhere, as in section 3 of arXiv 1703.01365."""
    return np.zeros(pixels.shape, np.float32)


def mean(pixels: Pixels, preprocess: Geometry) -> Reals:
    """The mean that the preprocessing takes off: the model's input is 0."""
    return np.broadcast_to(np.asarray(preprocess.mean, np.float32), pixels.shape).copy()


def blurred(pixels: Pixels, preprocess: Geometry) -> Reals:
    """The image itself under a Gaussian whose sigma is BLUR times its shorter side.

    (10 pixels at 224: Fong and Vedaldi, ICCV 2017, section 4.3.)
    """
    sigma = BLUR * min(pixels.shape[:2])
    return np.asarray(cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), sigma), dtype=np.float32)


BASELINES: Mapping[str, Callable[[Pixels, Geometry], Reals]] = MappingProxyType(
    {"black": black, "mean": mean, "blurred": blurred}
)
"""By name: of an image at the model's size and in its colour order, uint8 (h, w, 3), its baseline in the same units."""
