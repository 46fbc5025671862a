"""Boxes as networks write them, in the one form of the house: corners, as shares of the model's input."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BoxFormat = Literal["cxcywh", "xywh", "xyxy", "yxyx"]


def corners(values: Floats, form: BoxFormat, extent_wh: tuple[float, float]) -> Floats:
    """Boxes x0, y0, x1, y1 as shares of the input's sides, not clipped.

    Args:
        values: float32 (n, 4): centre, width, height (cxcywh); corner, width, height (xywh); two corners, x or y first.
        extent_wh: what the input's width and height are in these numbers: its pixels, or 1 and 1 of shares.

    Returns:
        float32 (n, 4).
    """
    first, second = np.asarray(values[:, :2]), np.asarray(values[:, 2:])
    if form == "cxcywh":
        half = np.asarray(second * np.float32(0.5), np.float32)
        first, second = first - half, first + half
    elif form == "xywh":
        second = first + second
    elif form == "yxyx":
        first, second = first[:, ::-1], second[:, ::-1]
    return np.asarray(np.concatenate([first, second], axis=1) / np.array([*extent_wh] * 2, np.float32), np.float32)
