"""Other readings of each formula: plausible, often written down somewhere, and not what the kernels compute.

Each takes and gives what the one-operator case of its name in `exactness` does; all results are int64, clamped.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.one_operator import Parameters

Array = npt.NDArray[Any]
F32 = np.float32


def clamped(values: Array) -> npt.NDArray[np.int64]:
    """To int8's range."""
    return np.asarray(np.clip(values, -128, 127), dtype=np.int64)


def half_away(values: Array) -> Array:
    """Round half away from zero."""
    return np.asarray(np.sign(values) * np.floor(np.abs(values) + 0.5))


def conv_double_multiplier(total: Array, s_in: F32, s_weight: Array, s_out: F32, zero_point: int) -> Array:
    """The multiplier computed in double and cast once."""
    factor = (float(s_in) * s_weight.astype(np.float64) / float(s_out)).astype(F32)
    return clamped(np.rint(total.astype(F32) * factor) + zero_point)


def conv_double(total: Array, s_in: F32, s_weight: Array, s_out: F32, zero_point: int) -> Array:
    """Everything in double: the formula on paper."""
    return clamped(np.rint(total * (float(s_in) * s_weight.astype(np.float64) / float(s_out))) + zero_point)


def conv_half_away(total: Array, s_in: F32, s_weight: Array, s_out: F32, zero_point: int) -> Array:
    """float32 as it should be, but ties away from zero."""
    factor = (s_in * s_weight.astype(F32)) / s_out
    return clamped(half_away(total.astype(F32) * factor) + zero_point)


def conv_fixed_point(total: Array, s_in: F32, s_weight: Array, s_out: F32, zero_point: int) -> Array:
    """The built-in kernels' 31-bit multiplier, one rounding."""
    result = []
    for value, weight in zip(total.tolist(), s_weight.tolist(), strict=True):
        fraction, exponent = math.frexp(float(s_in) * weight / float(s_out))
        shift = 31 - exponent
        result.append(((value * round(fraction * 2**31) + (1 << (shift - 1))) >> shift) + zero_point)
    return clamped(np.array(result))


def add_float(a: Array, b: Array, first: Parameters, second: Parameters, out: Parameters) -> Array:
    """Two float32 ratios and one rounding."""
    left = (F32(first.scale) / F32(out.scale)) * (a.astype(F32) - F32(first.zero_point))
    right = (F32(second.scale) / F32(out.scale)) * (b.astype(F32) - F32(second.zero_point))
    return clamped(np.rint(left + right) + out.zero_point)


def mul_half_away(a: Array, b: Array, first: Parameters, second: Parameters, out: Parameters) -> Array:
    """Ties away from zero."""
    factor = F32(first.scale) * F32(second.scale) / F32(out.scale)
    product = (a.astype(np.int64) - first.zero_point) * (b.astype(np.int64) - second.zero_point)
    return clamped(half_away(product.astype(F32) * factor) + out.zero_point)


def mean_centred(x: Array, given: Parameters, out: Parameters) -> Array:
    """The zero points kept out of the rounding: rint((S - n * z_in) * m) + z_out."""
    count = x.shape[1] * x.shape[2]
    total = x.sum(axis=(1, 2), dtype=np.int64) - count * given.zero_point
    factor = (F32(given.scale) / F32(out.scale)) * (F32(1) / F32(count))
    return clamped(np.rint(total.astype(F32) * factor) + out.zero_point)


def pool_half_even(x: Array, zero_point: int) -> Array:
    """The mean of the centred values, ties to even."""
    return clamped(np.rint((x.astype(np.float64) - zero_point).mean(axis=(1, 2))) + zero_point)


def pool_half_up(x: Array) -> Array:
    """The mean of the raw values, ties up."""
    return clamped(np.floor(x.astype(np.float64).mean(axis=(1, 2)) + 0.5))


def resize_float(x: Array, size_hw: tuple[int, int], round_half_up: bool) -> Array:
    """Float weights instead of 11-bit ones."""
    rows, columns = (_weights(size, target) for size, target in zip(x.shape[1:3], size_hw, strict=True))
    real = np.einsum("yh,nhwc,xw->nyxc", rows, x.astype(np.float64), columns)
    return clamped(np.floor(real + 0.5) if round_half_up else np.rint(real))


def _weights(size_in: int, size_out: int) -> npt.NDArray[np.float64]:
    position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    lower = np.floor(position).astype(int)
    weights = np.zeros((size_out, size_in))
    weights[np.arange(size_out), lower] += 1 - (position - lower)
    weights[np.arange(size_out), np.minimum(lower + 1, size_in - 1)] += position - lower
    return weights


def rescale_float(x: Array, given: Parameters, out: Parameters) -> Array:
    """A change of parameters in float32, one rounding."""
    ratio = F32(given.scale) / F32(out.scale)
    return clamped(np.rint((x.astype(F32) - F32(given.zero_point)) * ratio) + out.zero_point)


def rescale_once(x: Array, given: Parameters, out: Parameters) -> Array:
    """A change of parameters by a 31-bit multiplier with one rounding, half up."""
    fraction, exponent = math.frexp(float(F32(given.scale) / F32(out.scale)))
    factor, shift = math.floor(fraction * 2**31 + 0.5), 31 - exponent
    centred = x.astype(np.int64) - given.zero_point
    return clamped(((centred * factor + (1 << (shift - 1))) >> shift) + out.zero_point)
