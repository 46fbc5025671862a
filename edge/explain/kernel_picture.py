"""Kernels of involutions as a picture: how strong they are over the photograph, and some of them as they are."""

from collections.abc import Sequence

import cv2
import numpy as np

from edge.explain.gate_picture import LINE, TILE_WIDTH, over_grey, write_label
from edge.explain.involutions import Kernels
from edge.explain.picture import AGAINST, FOR
from edge.vision.pixels import Pixels
from edge.vision.preprocess import Preprocess

PLACES = (0.2, 0.5, 0.8)
"""Of the rows and columns of a map whose kernels are drawn."""
GAP = 6


def draw_kernels(frame: Pixels, layers: Sequence[Kernels], preprocess: Preprocess) -> Pixels:
    """A line per layer: the photograph, red where kernels are strong, beside the first group's kernels at 3x3 places.

    Kernels are red where their value is above 0 and blue below, of one scale within a layer, and stand to each other as
    their places in the photograph.

    Args:
        frame: RGB uint8 (h, w, 3).

    Returns:
        RGB uint8 (h, w, 3), the first layer on top.
    """
    rows = []
    for layer in layers:
        low, high = float(layer.strength.min()), float(layer.strength.max())
        share = (layer.strength - low) / (high - low) if high > low else np.ones_like(layer.strength)
        seen = over_grey(frame, share, preprocess)
        beside = _kernels(layer, seen.shape[0])
        line = np.full((LINE + seen.shape[0], TILE_WIDTH + GAP + beside.shape[1], 3), 255, np.uint8)
        write_label(line, f"{layer.layer}  {layer.size}x{layer.size}, strength {low:.3f} to {high:.3f}", 6, 0)
        line[LINE:, :TILE_WIDTH] = seen
        line[LINE:, TILE_WIDTH + GAP :] = beside
        rows.append(line)
    return np.concatenate(rows)


def _kernels(layer: Kernels, height: int) -> Pixels:
    """The first group's kernels at PLACES x PLACES, in a square of this height."""
    drawn = np.full((height, height, 3), 255, np.uint8)
    side = max((height - 2 * GAP) // len(PLACES), 1)
    down, across = layer.values.shape[:2]
    chosen = layer.values[:, :, 0][np.ix_(*([int(place * size) for place in PLACES] for size in (down, across)))]
    full = float(np.abs(chosen).max()) or 1.0
    for row in range(len(PLACES)):
        for column in range(len(PLACES)):
            kernel = chosen[row, column, :, :, None]
            strength = np.abs(kernel) / full
            colour = 255 * (1 - strength) + np.where(kernel > 0, FOR, AGAINST) * strength
            block = cv2.resize(np.asarray(np.rint(colour), np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
            top, left = row * (side + GAP), column * (side + GAP)
            drawn[top : top + side, left : left + side] = block[: height - top, : height - left]
            cv2.rectangle(drawn, (left, top), (left + side - 1, top + side - 1), (170, 170, 170), 1)
    return drawn
