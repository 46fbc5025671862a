"""Convolution, depthwise convolution and fully connected layers, exact in 32-bit accumulators.

m = (s_in * s_w) / s_out with every step rounded to float32; acc = the exact integer sum of (q - zero_point) * w + bias;
q = rint(float32(acc) * m) + zero_point, ties to even; then clamped to the type and to the fused activation's range.
(XNNPACK, `fp32` requantization of qs8-qc8w and qu8 microkernels.)
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from edge.execution.kernels.affine import (
    Affine,
    Kernel,
    activation_range,
    affine,
    channels_first,
    given,
    graph_layout,
    pads,
    pair,
    refuse,
    weight_quantization,
)
from edge.graph.graph import Graph, Operator, Quantization

EXACT_FLOAT32 = 1 << 24
Sum = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def multiplier(scale_in: np.float32, scale_weight: npt.NDArray[np.float32], scale_out: np.float32) -> torch.Tensor:
    """The requantization factor per output channel, float32: (s_in * s_w) / s_out, rounded after each step."""
    factor = (np.float32(scale_in) * scale_weight.astype(np.float32)) / np.float32(scale_out)
    return torch.from_numpy(np.asarray(factor, dtype=np.float32))


def centred_weight(graph: Graph, operator: Operator, name: str) -> tuple[npt.NDArray[np.int32], Quantization]:
    """The integers q - zero_point of a weight (O, ...) and its parameters."""
    quantization = weight_quantization(graph, operator, name)
    # In C order: torch misreads some strided weights with axes of size 1 in grouped, dilated convolutions.
    data = graph.constant(name).astype(np.int32, order="C")
    zero_point = quantization.zero_point.reshape((-1,) + (1,) * (data.ndim - 1))
    return (data - zero_point).astype(np.int32), quantization


def bias_values(graph: Graph, operator: Operator, outputs: int) -> npt.NDArray[np.int64]:
    """The int32 bias (O,), zeros when there is none."""
    if len(operator.inputs) < 3 or not operator.inputs[2]:
        return np.zeros(outputs, np.int64)
    data = graph.constant(operator.inputs[2])
    if data.dtype != np.int32 or data.shape != (outputs,):
        raise refuse(operator, f"bias '{operator.inputs[2]}' is {data.dtype} {data.shape}, not int32 ({outputs},)")
    return data.astype(np.int64)


def exact_sum(weight: npt.NDArray[np.int32], largest_input: int, bias: npt.NDArray[np.int64], apply: Sum) -> Sum:
    """A float32 evaluation of sum + bias whose result is the int32 accumulator converted to float32.

    Integers below 2**24 are exact in float32 whatever the order of summation. A weight whose worst case
    sum(|w|) * max|q - zero_point| reaches that is split in w = 16 * high + low, each far below it; beyond, float64.
    `apply(input, weight)` is linear in both; its output has the channels on axis 1.
    """
    worst = int(np.abs(weight).reshape(len(weight), -1).sum(axis=1, dtype=np.int64).max(initial=0)) * largest_input
    shape = (1, -1, 1, 1) if weight.ndim == 4 else (1, -1)
    if worst < EXACT_FLOAT32 and np.abs(bias).max(initial=0) < EXACT_FLOAT32:
        single, offset = _float32(weight), _float32(bias).reshape(shape)
        return lambda value, _: apply(value, single).add_(offset)
    offset64 = torch.from_numpy(bias.astype(np.float64)).reshape(shape)
    high = (weight + 8) >> 4
    low = weight - 16 * high
    parts = max(int(np.abs(part).reshape(len(part), -1).sum(axis=1).max(initial=0)) for part in (high, low))
    if parts * largest_input < EXACT_FLOAT32:
        first, second = _float32(high), _float32(low)

        def split(value: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            total = apply(value, first).double().mul_(16).add_(apply(value, second)).add_(offset64)
            return total.float()

        return split
    double = torch.from_numpy(weight.astype(np.float64))
    return lambda value, _: apply(value.double(), double).add_(offset64).float()


def _float32(values: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def requantize(total: torch.Tensor, factor: torch.Tensor, output: Affine, bounds: tuple[int, int]) -> torch.Tensor:
    """rint(total * factor) + zero_point, clamped; overwrites `total` (float32)."""
    low, high = bounds
    scaled = total.mul_(factor).round_().add_(output.zero_point)
    return scaled.clamp_(low, high).to(output.dtype)


def conv(graph: Graph, operator: Operator) -> Kernel:
    """Conv: x, weight (O, I / group, kh, kw), bias; any group, dilation and explicit padding (with the zero point)."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    weight, quantization = centred_weight(graph, operator, operator.inputs[1])
    strides, dilations, group = pair(operator, "strides"), pair(operator, "dilations"), operator.attributes["group"]
    top, left, bottom, right = pads(operator)
    factor = multiplier(source.scale, quantization.scale, target.scale).reshape(1, -1, 1, 1)
    bounds = activation_range(target, operator.attributes["activation"])
    even = (top, left) == (bottom, right)

    def convolve(value: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        padding = (top, left) if even else (0, 0)
        return functional.conv2d(value, kernel, None, strides, padding, dilations, group)

    total = exact_sum(weight, source.largest_magnitude, bias_values(graph, operator, len(weight)), convolve)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        centred = channels_first(graph, given(values, 0)).float().sub_(source.zero_point)
        if not even:
            centred = functional.pad(centred, (left, right, top, bottom))
        return graph_layout(graph, requantize(total(centred, centred), factor, target, bounds))

    return kernel


def gemm(graph: Graph, operator: Operator) -> Kernel:
    """Gemm: x (..., I), weight (O, I), bias (O,)."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    weight, quantization = centred_weight(graph, operator, operator.inputs[1])
    factor = multiplier(source.scale, quantization.scale, target.scale).reshape(1, -1)
    bounds = activation_range(target, operator.attributes["activation"])
    bias = bias_values(graph, operator, len(weight))
    total = exact_sum(weight, source.largest_magnitude, bias, lambda value, kernel: functional.linear(value, kernel))

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        centred = given(values, 0).float().sub_(source.zero_point)
        rows = centred.reshape(-1, centred.shape[-1])  # the bias runs along axis 1
        return requantize(total(rows, rows), factor, target, bounds).reshape(*centred.shape[:-1], -1)

    return kernel
