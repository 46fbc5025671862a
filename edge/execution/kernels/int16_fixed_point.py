"""The built-in kernels' fixed-point arithmetic on 16-bit activations, over int64 tensors.

A real factor is m * 2**(exponent - 31) with a 31-bit m, rounded half away from zero. Accumulators of 64 bits are
multiplied by m's upper 15 bits and rounded half up, once; accumulators of 32 bits by all of m, and round twice: half up
on the product, half away from zero on the shift.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.execution.kernels.affine import Affine
from edge.execution.kernels.fixed_point import mantissa

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
TABLE_STEPS = 512
Int16Table = npt.NDArray[np.int64]


def wide_factor(real: float) -> tuple[int, int]:
    """(m, shift) of `rescaled_wide`: (x * m + 2**(shift - 1)) >> shift; m has 15 bits."""
    value, exponent = mantissa(real, 31)
    reduced = (value + (1 << 15)) >> 16 if value < 0x7FFF0000 else 0x7FFF
    return reduced, 15 - exponent


def rescaled_wide(values: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """64-bit accumulators times factors that broadcast against them; int64 in and out."""
    half = torch.ones_like(shift).bitwise_left_shift(shift - 1)
    return (values * factor + half).bitwise_right_shift(shift)


def rescaled(values: torch.Tensor, real: float) -> torch.Tensor:
    """32-bit accumulators (in an int64 tensor) times a real factor, rounded twice."""
    factor, exponent = mantissa(real, 31)
    return rescaled_by(values, factor, exponent)


def rescaled_once(values: torch.Tensor, real: float) -> torch.Tensor:
    """32-bit accumulators (in an int64 tensor) times a real factor up to 1, rounded half up, once."""
    factor, exponent = mantissa(real, 31)
    shift = 31 - exponent
    return (values * factor + (1 << (shift - 1))) >> shift


def rescaled_by(values: torch.Tensor, factor: int, exponent: int) -> torch.Tensor:
    """`rescaled` by factor * 2**(exponent - 31)."""
    moved = values << exponent if exponent > 0 else values
    product = moved * factor
    nudged = product + torch.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = torch.div(nudged, 1 << 31, rounding_mode="trunc")
    if exponent >= 0:
        return high
    return high.sign() * ((high.abs() + (1 << (-exponent - 1))) >> -exponent)


def half_away(value: float) -> float:
    """Round half away from zero."""
    return float(np.copysign(np.floor(abs(value) + 0.5), value))


def interpolation_table(
    function: Callable[[float], float], low: float, high: float, scale: float, number: Any = np.float64
) -> Int16Table:
    """513 samples of a function over [low, high], int64, each moved by half the error at the middle of its step.

    Args:
        scale: what the function's values are multiplied by.
        number: the float type that the kernel fills its table in.
    """

    def sample(real: float) -> float:
        return float(number(number(function(number(real))) * number(scale)))

    step = number(number(high) - number(low)) / number(TABLE_STEPS)
    entries = []
    for index in range(TABLE_STEPS):
        start = number(low) + number(index) * step
        here = half_away(sample(start))
        ahead = sample(number(low) + number(index + 1) * step)
        middle = half_away(sample(start + step / number(2)))
        entries.append(here - half_away((half_away((ahead + here) / 2) - middle) / 2))
    entries.append(half_away(sample(high)))
    return np.asarray(np.clip(entries, INT16_MIN, INT16_MAX), dtype=np.int64)


def look_up(values: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Interpolate between the samples of a 513-entry table; int64 values in [-32768, 32767] in, int64 out."""
    index = (values >> 7) + TABLE_STEPS // 2
    base = table[index]
    slope = table[index + 1] - base
    return base + ((slope * (values & 0x7F) + 64) >> 7)


def int16_bounds(output: Affine, activation: str) -> tuple[int, int]:
    """The integers that a fused activation lets through: float32 bound / scale, half away from zero."""
    low = INT16_MIN if activation == "none" else 0
    if activation != "relu6":
        return low, INT16_MAX
    return low, min(INT16_MAX, int(half_away(float(np.float32(6) / output.scale))))
