"""What a readout of position is to predict: ramps, a Gaussian, and stripes, the same for every image."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SIDE = 28
STRIPES = 4
GAUSSIAN_SIGMA = 0.25
Map = NDArray[np.float64]


def position_targets(side: int = SIDE) -> Mapping[str, Map]:
    """By name a map (side, side) of numbers in [0, 1], from a side of it to the other.

    Horizontal and vertical ramp, a Gaussian around the middle, and STRIPES periods of ramps in each direction.
    (Islam et al., arXiv 2001.08248, section 3.2 and figure 2; of the Gaussian's width and the stripes' number it says
    nothing: here GAUSSIAN_SIGMA of the side, and STRIPES.)
    """
    ramp = (np.arange(side) + 0.5) / side
    bell = np.exp(-((ramp - 0.5) ** 2) / (2 * GAUSSIAN_SIGMA**2))
    stripe = (ramp * STRIPES) % 1
    one = np.ones(side)
    return {
        "horizontal": np.outer(one, ramp),
        "vertical": np.outer(ramp, one),
        "gaussian": np.outer(bell, bell),
        "horizontal stripes": np.outer(stripe, one),
        "vertical stripes": np.outer(one, stripe),
    }
