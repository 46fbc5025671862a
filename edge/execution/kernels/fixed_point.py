"""The built-in kernels' fixed-point arithmetic, where XNNPACK leaves an 8-bit operator to them: Relu and HardSwish.

Both round twice: a doubling high multiplication, half up on the product, then a shift, half away from zero.
(gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT; LiteRT 2.3 builds its kernels this way.)
"""

import math

import numpy as np
import numpy.typing as npt

from edge.execution.kernels.affine import Affine

F32 = np.float32
SMALLEST_EXPONENT = -31
Integers = npt.NDArray[np.int64]


def mantissa(real: float | np.float32, bits: int) -> tuple[int, int]:
    """real = m * 2**(exponent - bits) with m of `bits` bits, rounded half away from zero. Returns (m, exponent).

    Below 2**-32 it is 0, as the kernels flush it (TFLite's QuantizeMultiplier).
    """
    fraction, exponent = math.frexp(float(real))
    if exponent < SMALLEST_EXPONENT:
        return 0, 0
    value = math.floor(fraction * 2**bits + 0.5)
    return (value // 2, exponent + 1) if value == 2**bits else (value, exponent)


def high_product(values: Integers, factor: int | Integers, bits: int) -> Integers:
    """(2 * values * factor) >> (bits + 1) with `bits` + 1 bit operands, half away from zero towards +, truncating."""
    product = values * factor
    nudged = product + np.where(product >= 0, 1 << (bits - 1), 1 - (1 << (bits - 1)))
    return np.asarray(np.sign(nudged) * (np.abs(nudged) >> bits), dtype=np.int64)


def shifted(values: Integers, shift: int) -> Integers:
    """values / 2**shift, half away from zero."""
    if shift == 0:
        return values
    magnitude = (np.abs(values) + (1 << (shift - 1))) >> shift
    return np.asarray(np.sign(values) * magnitude, dtype=np.int64)


def multiplied(values: Integers, factor: int | Integers, exponent: int | Integers) -> Integers:
    """values * factor / 2**31 * 2**exponent: shifted left before the product or right after it, rounding twice."""
    moved = high_product(values << np.maximum(exponent, 0), factor, 31)
    right = np.maximum(np.negative(exponent), 0)
    half = np.where(right > 0, np.left_shift(1, np.maximum(right - 1, 0)), 0)
    return np.asarray(np.sign(moved) * ((np.abs(moved) + half) >> right), dtype=np.int64)


def centred(source: Affine) -> Integers:
    """q - zero_point of every integer of the type, in order, (256,)."""
    return np.arange(source.low, source.high + 1, dtype=np.int64) - source.zero_point


def rescaled(source: Affine, target: Affine) -> Integers:
    """A change of parameters for the 256 integers, not clamped: (q - zero_in) * (s_in / s_out) + zero_out."""
    factor, exponent = mantissa(F32(source.scale / target.scale), 31)
    moved = high_product(centred(source) << max(exponent, 0), factor, 31)
    return shifted(moved, max(-exponent, 0)) + target.zero_point


def hard_swish(source: Affine, target: Affine) -> Integers:
    """x * relu6(x + 3) / 6 for the 256 integers, in 16-bit fixed point, clamped to the output's type."""

    def int16(values: Integers) -> Integers:
        return np.asarray(np.clip(values, -(1 << 15), (1 << 15) - 1), dtype=np.int64)

    fine = centred(source) << 7
    fine_scale = F32(F32(1 / 128) * source.scale)
    output_factor, output_exponent = _mantissa16(F32(fine_scale / target.scale))
    gate_factor, gate_exponent = _mantissa16(F32(fine_scale / F32(3 / 32768)))
    on_output = high_product(fine, output_factor, 15)
    gate = int16(fine << (gate_exponent - 1)) if gate_exponent > 0 else fine
    gate = high_product(gate, gate_factor, 15)
    if gate_exponent > 0:
        gate = int16(gate << 1)
    elif gate_exponent < 0:
        gate = shifted(gate, -gate_exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * on_output
    product = np.sign(product) * (np.abs(product) >> 15)  # the doubling product without rounding
    result = shifted(product, -output_exponent) if output_exponent < 0 else product << output_exponent
    return np.asarray(np.clip(result + target.zero_point, target.low, target.high), dtype=np.int64)


def _mantissa16(real: np.float32) -> tuple[int, int]:
    value, exponent = mantissa(real, 31)
    return min((value + (1 << 15)) >> 16, (1 << 15) - 1), exponent
