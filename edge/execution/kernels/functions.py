"""Functions of one 8-bit value that LiteRT's built-in kernels compute, and XNNPACK's Elu and LeakyRelu.

Exp, Log, Gelu (a table of 256): x = s_in * (q - z_in); q = round(f(x) * (1 / s_out)) + z_out, half away from zero.
Elu (XNNPACK, a table): rint(float32(f(x) * (1 / s_out)) + z_out).
Sqrt: trunc(sqrt(x) / s_out) + z_out. Rsqrt, Abs, PRelu: fixed point, see below.
LeakyRelu (XNNPACK qs8-vlrelu): ((q - z_in) * rint(256 * r) + (z_out << 8) + 128) >> 8, r = s_in / s_out, times alpha
below 0. Every result is clamped to the type.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from edge.execution.kernels import fixed_point, inverse_root
from edge.execution.kernels.affine import Affine, Kernel, affine, given, refuse
from edge.execution.kernels.pointwise import Reals, every_value, look_up, to_grid
from edge.graph.graph import Graph, Operator

F32 = np.float32
Integers = npt.NDArray[np.int64]
RSQRT_BITS = 20


def exp(operator: Operator, real: Reals) -> Reals:
    """e to the x; infinite where float32 ends."""
    return np.asarray(np.exp(real.astype(np.float64)), dtype=F32)


def log(operator: Operator, real: Reals) -> Reals:
    """The natural logarithm; no number below 0."""
    return np.asarray(np.log(real.astype(np.float64)), dtype=F32)


def gelu(operator: Operator, real: Reals) -> Reals:
    """0.5 x (1 + erf(x / sqrt 2)), or tanh's formula, in float32 steps."""
    if operator.attributes["approximate"]:
        inner = F32(math.sqrt(2 / math.pi)) * (real + F32(0.044715) * real * real * real)
        return np.asarray(F32(0.5) * real * (F32(1) + np.tanh(inner.astype(np.float64)).astype(F32)), dtype=F32)
    scaled = (real * F32(math.sqrt(0.5))).astype(np.float64)
    error_function = np.array([math.erf(value) for value in scaled], dtype=F32)
    return np.asarray(F32(0.5) * real * (F32(1) + error_function), dtype=F32)


FUNCTIONS: Mapping[str, Callable[[Operator, Reals], Reals]] = MappingProxyType({"Exp": exp, "Log": log, "Gelu": gelu})


def table(graph: Graph, operator: Operator) -> Kernel:
    """Exp, Log, Gelu: the built-in kernels' table."""
    source, target = _ends(graph, operator)
    with np.errstate(all="ignore"):
        real = FUNCTIONS[operator.kind](operator, every_value(source)) * (F32(1) / target.scale)
        rounded = np.sign(real) * np.floor(np.abs(real) + F32(0.5)) + F32(target.zero_point)
    return look_up(_clamped(np.nan_to_num(rounded, nan=target.low), target), source, target)


def elu(graph: Graph, operator: Operator) -> Kernel:
    """Elu with slope 1, the only one that the kernel has."""
    source, target = _ends(graph, operator)
    if operator.attributes["alpha"] != 1:
        raise refuse(operator, f"alpha {operator.attributes['alpha']:g}; the kernel has 1 only")
    real = every_value(source)
    curved = np.expm1(np.minimum(real, 0).astype(np.float64)).astype(F32)
    return look_up(to_grid(np.where(real < 0, curved, real).astype(F32), target), source, target)


def leaky_relu(graph: Graph, operator: Operator) -> Kernel:
    """LeakyRelu, within the ratios of scales that XNNPACK takes."""
    source, target = _ends(graph, operator)
    above = source.scale / target.scale
    below = F32(above * F32(operator.attributes["alpha"]))
    centred = fixed_point.centred(source)
    factor = np.where(centred >= 0, int(np.rint(F32(256) * above)), int(np.rint(F32(256) * below)))
    return look_up(_clamped((centred * factor + (target.zero_point << 8) + 128) >> 8, target), source, target)


def absolute(graph: Graph, operator: Operator) -> Kernel:
    """Abs: a 31-bit multiplier that rounds twice over the magnitude."""
    source, target = _ends(graph, operator)
    factor, exponent = fixed_point.mantissa(F32(source.scale / target.scale), 31)
    moved = fixed_point.multiplied(np.abs(fixed_point.centred(source)), factor, exponent)
    return look_up(_clamped(moved + target.zero_point, target), source, target)


def sqrt(graph: Graph, operator: Operator) -> Kernel:
    """Sqrt of an input whose zero point is its smallest integer: LiteRT stops at a negative value."""
    source, target = _nonnegative(graph, operator)
    real = np.trunc(np.sqrt(every_value(source)) / target.scale)
    return look_up(_clamped(real + target.zero_point, target), source, target)


def rsqrt(graph: Graph, operator: Operator) -> Kernel:
    """Rsqrt, likewise: 31-bit inverse root of the integer, 20 bits of fraction; the largest integer for 0."""
    source, target = _nonnegative(graph, operator)
    centred = fixed_point.centred(source)
    root, shift = inverse_root.inverse_root(np.maximum(centred, 1))
    fine = fixed_point.multiplied(np.ones_like(centred), root, RSQRT_BITS - shift)
    factor, exponent = fixed_point.mantissa(1.0 / (math.sqrt(float(source.scale)) * float(target.scale)), 31)
    moved = fixed_point.multiplied(fine, factor, exponent - RSQRT_BITS) + target.zero_point
    return look_up(_clamped(np.where(centred == 0, target.high, moved), target), source, target)


def p_relu(graph: Graph, operator: Operator) -> Kernel:
    """PRelu: q - z_in, times (slope - z_slope) below 0, each by a 31-bit multiplier that rounds twice."""
    source, target = _ends(graph, operator)
    slope = affine(graph, operator, operator.inputs[1])
    above = fixed_point.mantissa(float(source.scale) / float(target.scale), 31)
    below = fixed_point.mantissa(float(source.scale) * float(slope.scale) / float(target.scale), 31)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        centred = given(values, 0).numpy().astype(np.int64) - source.zero_point
        product = centred * (given(values, 1).numpy().astype(np.int64) - slope.zero_point)
        positive = fixed_point.multiplied(centred, *above)
        moved = np.where(centred >= 0, positive, fixed_point.multiplied(product, *below))
        return torch.from_numpy(_clamped(moved + target.zero_point, target)).to(target.dtype)

    return kernel


def _ends(graph: Graph, operator: Operator) -> tuple[Affine, Affine]:
    return affine(graph, operator, operator.inputs[0]), affine(graph, operator, operator.outputs[0])


def _nonnegative(graph: Graph, operator: Operator) -> tuple[Affine, Affine]:
    source, target = _ends(graph, operator)
    if source.zero_point != source.low:
        raise refuse(operator, f"the input's zero point is {source.zero_point}, not {source.low}: it may be negative")
    return source, target


def _clamped(values: npt.NDArray[np.float32] | Integers, target: Affine) -> Integers:
    return np.asarray(np.clip(values, target.low, target.high), dtype=np.int64)
