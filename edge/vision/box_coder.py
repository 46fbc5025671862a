"""Box codes: what a detector says of a box relative to its anchor (Ren et al., arXiv 1506.01497, equation 2)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class BoxCoder:
    """Factors of a code (ty, tx, th, tw); 10, 10, 5, 5 are those of tensorflow/models' SSD."""

    y_scale: float = 10.0
    x_scale: float = 10.0
    height_scale: float = 5.0
    width_scale: float = 5.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(scale) and scale > 0 for scale in self.scales):
            raise UsageError(f"box coder {self.scales}; its four factors must be above 0")

    @property
    def scales(self) -> tuple[float, float, float, float]:
        """The factors in the order of a code."""
        return self.y_scale, self.x_scale, self.height_scale, self.width_scale


def decode_boxes(codes: Floats, anchors: Floats, coder: BoxCoder) -> Floats:
    """The boxes of codes: centre = t / scale * side of the anchor + its centre, side = exp(t / scale) * its side.

    Rounded where TFLite_Detection_PostProcess rounds: in double up to the centre and the half side, then in float32.

    Args:
        codes: float32 (n, 4), ty, tx, th, tw.
        anchors: float32 (n, 4), centre y, centre x, height, width.

    Returns:
        float32 (n, 4), x0, y0, x1, y1 in the anchors' unit, not clipped; infinite where a side is beyond float32.
    """
    scales = np.array(coder.scales)
    real, given = codes.astype(np.float64) / scales, anchors.astype(np.float64)
    with np.errstate(over="ignore"):
        centres = (real[:, :2] * given[:, 2:] + given[:, :2]).astype(np.float32)
        halves = (0.5 * np.exp(real[:, 2:]) * given[:, 2:]).astype(np.float32)
    return np.concatenate([(centres - halves)[:, ::-1], (centres + halves)[:, ::-1]], axis=1)
