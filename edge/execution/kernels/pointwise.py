"""Functions of one 8-bit value: a table of 256 entries each, made with the kernel's float32 arithmetic.

XNNPACK: x = (q - zero_in) * s_in; y = f(x); q = rint(float32(y * (1 / s_out)) + zero_out), clamped, each step float32.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from edge.execution.kernels import fixed_point
from edge.execution.kernels.affine import Affine, Kernel, affine, given, refuse
from edge.graph.graph import Graph, Operator

F32 = np.float32
Reals = npt.NDArray[np.float32]
Function = Callable[[Operator, Reals], Reals]

# The ratios of scales that XNNPACK changes parameters by; LiteRT's built-in kernel does the others.
CONVERT_RATIOS = (np.float32(2.0**-8), np.float32(2.0**7))


def every_value(parameters: Affine) -> Reals:
    """The 256 real values of an 8-bit tensor, float32, in the order of its integers."""
    integers = np.arange(parameters.low, parameters.high + 1, dtype=F32)
    return np.asarray((integers - F32(parameters.zero_point)) * parameters.scale, dtype=F32)


def to_grid(real: Reals, output: Affine) -> npt.NDArray[np.int64]:
    """Real values on the output's grid, clamped to its type."""
    scaled = real * (F32(1) / output.scale) + F32(output.zero_point)
    return np.asarray(np.clip(np.rint(scaled), output.low, output.high), dtype=np.int64)


def sigmoid(operator: Operator, real: Reals) -> Reals:
    """1 / (1 + exp(-x)), in float64, rounded to float32."""
    exponential = np.exp(real.astype(np.float64).clip(-100, 100))
    return np.asarray(exponential / (1 + exponential), dtype=F32)


def tanh(operator: Operator, real: Reals) -> Reals:
    """The hyperbolic tangent."""
    return np.asarray(np.tanh(real), dtype=F32)


def hard_sigmoid(operator: Operator, real: Reals) -> Reals:
    """min(max(alpha * x + beta, 0), 1)."""
    alpha, beta = F32(operator.attributes["alpha"]), F32(operator.attributes["beta"])
    return np.asarray(np.clip(real * alpha + beta, F32(0), F32(1)), dtype=F32)


FUNCTIONS: dict[str, Function] = {
    "Sigmoid": sigmoid,
    "Tanh": tanh,
    "HardSigmoid": hard_sigmoid,
}


def table(graph: Graph, operator: Operator) -> Kernel:
    """A smooth function, by look-up."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    values = to_grid(FUNCTIONS[operator.kind](operator, every_value(source)), target)
    return look_up(values, source, target)


def hard_swish(graph: Graph, operator: Operator) -> Kernel:
    """HardSwish, by the built-in kernel's 16-bit fixed point."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    return look_up(fixed_point.hard_swish(source, target), source, target)


def look_up(entries: npt.NDArray[np.int64], source: Affine, target: Affine) -> Kernel:
    """The kernel of a table with one entry per integer of the source's type."""
    found = torch.from_numpy(entries).to(target.dtype)
    return lambda values: found[given(values, 0).long().sub_(source.low)]


def requantized(source: Affine, target: Affine) -> npt.NDArray[np.int64]:
    """A change of parameters (XNNPACK qs8-vcvt): Q8 multiplier, half up, without clamping to the type.

    q = ((q - zero_in) * rint(256 * s_in / s_out) + (zero_out << 8) + 128) >> 8.
    """
    factor = int(np.rint(F32(256) * (source.scale / target.scale)))
    integers = np.arange(source.low, source.high + 1, dtype=np.int64)
    return ((integers - source.zero_point) * factor + (target.zero_point << 8) + 128) >> 8


def changed(source: Affine, target: Affine) -> npt.NDArray[np.int64]:
    """A change of parameters for the 256 integers, not clamped: XNNPACK's, or the built-in kernel's outside its ratios.

    Built-in: the ratio of the scales in float64 as a 31-bit mantissa; the high product, then a shift that rounds half
    up. (Established on LiteRT 2.3, x86-64, over 384,000 values.)
    """
    if CONVERT_RATIOS[0] <= source.scale / target.scale <= CONVERT_RATIOS[1]:
        return requantized(source, target)
    factor, exponent = fixed_point.mantissa(float(source.scale) / float(target.scale), 31)
    moved = fixed_point.high_product(fixed_point.centred(source) << max(exponent, 0), factor, 31)
    shift = max(-exponent, 0)
    return np.asarray(((moved + ((1 << shift) >> 1)) >> shift) + target.zero_point, dtype=np.int64)


def clip(graph: Graph, operator: Operator) -> Kernel:
    """Relu, Relu6 and Clip that stand alone (a built-in kernel): a change of parameters, then a clamp."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    lower, upper = clip_bounds(operator)
    low = target.low if np.isinf(lower) else target.quantized(lower)
    high = target.high if np.isinf(upper) else target.quantized(upper)
    return look_up(np.clip(fixed_point.rescaled(source, target), low, high), source, target)


def clip_bounds(operator: Operator) -> tuple[float, float]:
    """The real interval that a Relu, Relu6 or Clip lets through; infinite where there is no bound."""
    if operator.kind == "Clip":
        minimum, maximum = operator.attributes["min"], operator.attributes["max"]
        return (-math.inf if minimum is None else float(minimum)), (math.inf if maximum is None else float(maximum))
    return 0.0, 6.0 if operator.kind == "Relu6" else math.inf


def quantize(graph: Graph, operator: Operator) -> Kernel:
    """Quantize: float32 to 8 bits (rint(x * (1 / s)) + zero_point), or 8 bits to other 8-bit parameters."""
    target = affine(graph, operator, operator.outputs[0])
    if graph.tensors[operator.inputs[0]].quantization is not None:
        source = affine(graph, operator, operator.inputs[0])
        return look_up(np.clip(changed(source, target), target.low, target.high), source, target)
    inverse = float(F32(1) / target.scale)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        scaled = given(values, 0).float().mul(inverse).round_().add_(target.zero_point)
        return scaled.clamp_(target.low, target.high).to(target.dtype)

    return kernel


def dequantize(graph: Graph, operator: Operator) -> Kernel:
    """Dequantize: float32 s * (q - zero_point)."""
    source = affine(graph, operator, operator.inputs[0])
    if graph.tensors[operator.outputs[0]].dtype != "float32":
        raise refuse(operator, f"output is {graph.tensors[operator.outputs[0]].dtype}, not float32")
    scale = float(source.scale)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        return given(values, 0).float().sub_(source.zero_point).mul_(scale)

    return kernel
