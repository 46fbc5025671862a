"""The two integer multipliers with which XNNPACK adds two 8-bit tensors (qs8-vadd), from their scales."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MULTIPLIER_BITS = 20
SMALLEST_RATIO, LARGEST_RATIO = 2.0**-10, 2.0**8


def sum_multipliers(scales: Sequence[np.floating[Any]], output_scale: np.floating[Any]) -> tuple[list[int], int] | None:
    """The multipliers M_i and the shift of `q = ((sum of M_i (q_i - z_i) + 2**(shift - 1)) >> shift) + z_out`.

    With r_i = float32(s_i / s_out): shift = 20 - floor(log2(max r)), M_i = rint(r_i * 2**shift), at most 2**21.

    Args:
        scales: of the two operands, and `output_scale`: float32 values.

    Returns:
        None where a ratio is outside [2**-10, 2**8): XNNPACK leaves such a sum to the built-in kernel.
    """
    ratios = [np.float32(scale) / np.float32(output_scale) for scale in scales]
    if not all(SMALLEST_RATIO <= ratio < LARGEST_RATIO for ratio in ratios):
        return None
    shift = MULTIPLIER_BITS - (math.frexp(float(max(ratios)))[1] - 1)
    return [int(np.rint(np.float64(ratio) * 2.0**shift)) for ratio in ratios], shift
