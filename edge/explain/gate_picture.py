"""Gates as pictures: every channel's gamma by layer, and spatial gates over the photograph."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.explain.gates import ChannelGates, SpatialGates
from edge.explain.picture import AGAINST, FOR, on_photograph
from edge.vision.pixels import Pixels
from edge.vision.preprocess import Preprocess

STRIP_HW = (22, 560)
LABEL_WIDTH = 190
LINE = 26
FULL = 99.0
"""Percentile of the magnitudes of gamma, over all layers, that has the full colour."""
TILE_WIDTH = 320
HIGHEST_TILE = 4 * TILE_WIDTH
"""A photograph that is narrower is drawn wider than it is."""
COLUMNS = 3
STRONGEST = 0.75
"""Of the colour that is laid over the photograph."""


def draw_channel_gates(gates: Sequence[ChannelGates]) -> Pixels:
    """A line per layer: its channels by gamma, blue where they cooperate, red where they compete.

    Returns:
        RGB uint8 (h, w, 3), the first layer on top.
    """
    width = LABEL_WIDTH + STRIP_HW[1] + LABEL_WIDTH
    drawn = np.full((LINE * (len(gates) + 1), width, 3), 255, np.uint8)
    full = float(np.percentile(np.abs(np.concatenate([layer.gamma for layer in gates])), FULL)) or 1.0
    write_label(drawn, "cooperate", LABEL_WIDTH, 0, AGAINST)
    write_label(drawn, "compete", LABEL_WIDTH + STRIP_HW[1] - 62, 0, FOR)
    for row, layer in enumerate(gates, start=1):
        ordered = np.sort(layer.gamma)[np.arange(STRIP_HW[1]) * layer.gamma.size // STRIP_HW[1]]
        strength = np.clip(np.abs(ordered) / full, 0.08, 1)[:, None] * (ordered != 0)[:, None]
        colour = 255 * (1 - strength) + np.where(ordered[:, None] > 0, FOR, AGAINST) * strength
        top = LINE * row + (LINE - STRIP_HW[0]) // 2
        drawn[top : top + STRIP_HW[0], LABEL_WIDTH : LABEL_WIDTH + STRIP_HW[1]] = np.rint(colour)[None]
        write_label(drawn, layer.layer, 6, row)
        shares = f"{100 * layer.cooperating:.0f} % / {100 * layer.competing:.0f} %"
        write_label(drawn, shares, LABEL_WIDTH + STRIP_HW[1] + 8, row)
    return drawn


def draw_spatial_gates(frame: Pixels, gates: Sequence[SpatialGates], preprocess: Preprocess) -> Pixels:
    """The photograph in grey once per layer, red where its gate lets most pass; from each map's own least to its most.

    Args:
        frame: RGB uint8 (h, w, 3).

    Returns:
        RGB uint8 (h, w, 3): COLUMNS tiles a line, each with its layer and the range of its gate.
    """
    height = _tile_height(frame)
    rows = -(-len(gates) // COLUMNS)
    drawn = np.full((rows * (height + LINE), COLUMNS * TILE_WIDTH, 3), 255, np.uint8)
    for index, layer in enumerate(gates):
        low, high = float(layer.values.min()), float(layer.values.max())
        share = (layer.values - low) / (high - low) if high > low else np.ones_like(layer.values)
        tile = over_grey(frame, share, preprocess)
        top, left = index // COLUMNS * (height + LINE), index % COLUMNS * TILE_WIDTH
        drawn[top + LINE : top + LINE + height, left : left + TILE_WIDTH] = tile
        label = drawn[top : top + LINE, left : left + TILE_WIDTH]
        write_label(label, f"{layer.layer}  {low:.2f} to {high:.2f}", 6, 0)
    return drawn


def over_grey(frame: Pixels, share: npt.NDArray[np.float32], preprocess: Preprocess) -> Pixels:
    """The photograph in grey, TILE_WIDTH wide, red by a map's shares.

    Args:
        frame: RGB uint8 (h, w, 3).
        share: float32 (rows, columns), in [0, 1], of a map of the network that `preprocess` belongs to.
    """
    size = (TILE_WIDTH, _tile_height(frame))
    small = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    grey = small.astype(np.float32)[:, :, None] * 0.6 + 80
    whole = cv2.resize(share, (preprocess.width, preprocess.height), interpolation=cv2.INTER_NEAREST)
    placed = on_photograph(np.asarray(whole, np.float32), (frame.shape[0], frame.shape[1]), preprocess)
    seen = cv2.resize(placed, size, interpolation=cv2.INTER_AREA)[:, :, None]
    return np.asarray(np.rint(grey * (1 - STRONGEST * seen) + FOR * STRONGEST * seen), np.uint8)


def _tile_height(frame: Pixels) -> int:
    return int(min(max(round(TILE_WIDTH * frame.shape[0] / frame.shape[1]), 1), HIGHEST_TILE))


def write_label(drawn: Pixels, text: str, left: int, row: int, colour: np.ndarray | None = None) -> None:
    """Write a line of text into a picture, from `left` on, at the row of LINE pixels."""
    rgb = (40, 40, 40) if colour is None else tuple(int(part) for part in colour)
    at = (left, LINE * row + LINE - 8)
    cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, rgb, 1, cv2.LINE_AA)
