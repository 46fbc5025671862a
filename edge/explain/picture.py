"""Attributions drawn over the photograph: red where they speak for the class, blue where they speak against it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.pixels import Pixels, placement
from edge.vision.preprocess import Preprocess

SMOOTHED = 1 / 60
SHOWN = 99.7
"""Percentile of the magnitudes that has the full colour: a few pixels would darken all others otherwise."""
FOR, AGAINST = np.array((220, 20, 30), np.float32), np.array((30, 60, 220), np.float32)


def on_photograph(
    values: NDArray[np.float32], frame_hw: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.float32]:
    """Attributions of the model's input (height, width) at the photograph's pixels, 0 where the model sees nothing."""
    place = placement(frame_hw, preprocess)
    window = np.ascontiguousarray(values[place.in_input])
    found = np.zeros(frame_hw, np.float32)
    found[place.in_frame] = cv2.resize(window, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    return found


def draw_attributions(frame: Pixels, values: NDArray[np.float32], preprocess: Preprocess) -> Pixels:
    """The photograph in grey with its attributions in colour.

    Args:
        frame: RGB uint8 (h, w, 3).
        values: (height, width) of the model's input, summed over channels; smoothed for the eye by a Gaussian of
            SMOOTHED times the shorter side.

    Returns:
        RGB uint8 (h, w, 3).
    """
    smooth = cv2.GaussianBlur(values, (0, 0), SMOOTHED * min(values.shape))
    placed = on_photograph(np.asarray(smooth, np.float32), (frame.shape[0], frame.shape[1]), preprocess)
    full = float(np.percentile(np.abs(placed), SHOWN)) or 1.0
    strength = np.clip(np.abs(placed) / full, 0, 1)[:, :, None]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)[:, :, None] * 0.6 + 80
    colour = np.where(placed[:, :, None] >= 0, FOR, AGAINST)
    return np.asarray(np.rint(grey * (1 - strength) + colour * strength), dtype=np.uint8)
