"""Convolution and fully connected layers over int16 activations and int8 weights, with 64-bit accumulators.

acc = the exact integer sum of q * w, + bias; r = (s_in * s_w) / s_out in float64. A convolution takes r as an m of 15
bits and a shift: q = (acc * m + 2**(shift - 1)) >> shift. A fully connected layer rounds acc * r, in float64, half away
from zero. Then clamped. All zero points are 0. (The built-in 16x8 kernels; XNNPACK has none.)
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from edge.execution.kernels.affine import (
    Affine,
    Kernel,
    affine,
    channels_first,
    given,
    graph_layout,
    pads,
    pair,
    refuse,
)
from edge.execution.kernels.convolution import centred_weight
from edge.execution.kernels.int16_fixed_point import (
    int16_bounds,
    rescaled_wide,
    wide_factor,
)
from edge.graph.graph import Graph, Operator

EXACT_FLOAT32 = 1 << 24
LARGEST_BYTE = 255
Linear = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def exact_sum(weight: npt.NDArray[np.int32], apply: Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    """The sum of int16 inputs times weights, exactly, as int64.

    The input is split into 256 * high + low, so that both halves' sums stay below 2**24, where float32 is exact in any
    order; weights too large for that are multiplied in float64.
    """
    worst = int(np.abs(weight).reshape(len(weight), -1).sum(axis=1, dtype=np.int64).max(initial=0))
    if worst * LARGEST_BYTE < EXACT_FLOAT32:
        single = torch.from_numpy(weight.astype(np.float32))

        def split(value: torch.Tensor) -> torch.Tensor:
            high, low = (value >> 8).float(), value.int().bitwise_and(LARGEST_BYTE).float()
            return apply(high, single).long().mul_(256).add_(apply(low, single).long())

        return split
    double = torch.from_numpy(weight.astype(np.float64))
    return lambda value: apply(value.double(), double).long()


def bias_values(graph: Graph, operator: Operator, outputs: int) -> npt.NDArray[np.int64]:
    """The int32 or int64 bias (O,), zeros when there is none."""
    if len(operator.inputs) < 3 or not operator.inputs[2]:
        return np.zeros(outputs, np.int64)
    data = graph.constant(operator.inputs[2])
    if data.dtype not in (np.int32, np.int64) or data.shape != (outputs,):
        raise refuse(operator, f"bias '{operator.inputs[2]}' is {data.dtype} {data.shape}, not integers ({outputs},)")
    return data.astype(np.int64)


def real_factors(source: Affine, scales: npt.NDArray[np.float32], target: Affine) -> npt.NDArray[np.float64]:
    """(s_in * s_w) / s_out per output channel, each step in float64."""
    return np.float64(source.scale) * scales.astype(np.float64) / np.float64(target.scale)


def conv(graph: Graph, operator: Operator) -> Kernel:
    """Conv: x, weight (O, I / group, kh, kw), bias; any group, dilation and explicit padding (zeros)."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    weight, quantization = centred_weight(graph, operator, operator.inputs[1])
    strides, dilations, group = pair(operator, "strides"), pair(operator, "dilations"), operator.attributes["group"]
    top, left, bottom, right = pads(operator)
    bias = torch.from_numpy(bias_values(graph, operator, len(weight))).reshape(1, -1, 1, 1)
    made = [wide_factor(float(real)) for real in real_factors(source, quantization.scale, target)]
    factor, shift = (torch.tensor(part).reshape(1, -1, 1, 1) for part in zip(*made, strict=True))
    bounds = int16_bounds(target, operator.attributes["activation"])

    def convolve(value: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(value, (left, right, top, bottom))
        return functional.conv2d(padded, kernel, None, strides, 0, dilations, group)

    total = exact_sum(weight, convolve)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        accumulated = total(channels_first(graph, given(values, 0))) + bias
        return graph_layout(graph, rescaled_wide(accumulated, factor, shift).int().clamp_(*bounds).to(target.dtype))

    return kernel


def gemm(graph: Graph, operator: Operator) -> Kernel:
    """Gemm: x (..., I), weight (O, I), bias (O,)."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    weight, quantization = centred_weight(graph, operator, operator.inputs[1])
    bias = torch.from_numpy(bias_values(graph, operator, len(weight)))
    factor = torch.from_numpy(real_factors(source, quantization.scale, target))
    bounds = int16_bounds(target, operator.attributes["activation"])
    total = exact_sum(weight, functional.linear)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        scaled = (total(given(values, 0)) + bias).double() * factor
        rounded = torch.trunc(scaled + torch.copysign(torch.tensor(0.5, dtype=scaled.dtype), scaled))
        return rounded.clamp_(*bounds).to(target.dtype)

    return kernel
