"""Average pool, max pool, mean and resize of int16 activations, as the built-in kernels compute them.

AveragePool: the sum S over the n cells inside the image, (S ± n // 2) // n: half away from zero. Mean: S times m / n,
where m is the 31-bit multiplier of s_in / s_out, shifted left by floor(log2(n)) before the division truncates. Resize,
linear: positions and weights in 10-bit fixed point, the weighted sum of 20 fraction bits rounded half away from zero.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from edge.execution.kernels import resize as resize8
from edge.execution.kernels.affine import (
    Kernel,
    affine,
    channels_first,
    given,
    graph_layout,
    pads,
    pair,
    refuse,
    tied,
)
from edge.execution.kernels.fixed_point import mantissa
from edge.execution.kernels.int16_fixed_point import INT16_MIN, int16_bounds, rescaled_by
from edge.graph.graph import Graph, Operator

FRACTION_BITS = 10
LARGEST_WINDOW = 1 << 16


def average_pool(graph: Graph, operator: Operator) -> Kernel:
    """AveragePool over a (kh, kw) window; padding cells are not counted."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    top, left, bottom, right = pads(operator)
    if operator.attributes["count_include_pad"] and (top or left or bottom or right):
        raise refuse(operator, "padding counted in the mean has no integer kernel; pad outside and use a Mean")
    if kernel_hw[0] * kernel_hw[1] > LARGEST_WINDOW:
        raise refuse(operator, f"a window of {kernel_hw[0] * kernel_hw[1]} cells is too large")
    bounds = int16_bounds(target, operator.attributes["activation"])

    def window_sum(value: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(value, (left, right, top, bottom))
        return functional.avg_pool2d(padded, kernel_hw, strides, divisor_override=1).round_().long()

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        raw = channels_first(graph, given(values, 0)).double()  # sums below 2**31 are exact
        total, count = window_sum(raw), window_sum(torch.ones_like(raw[:1, :1]))
        half = torch.div(count, 2, rounding_mode="floor")
        signed = torch.where(total > 0, total + half, total - half)
        mean = torch.div(signed, count, rounding_mode="trunc")
        return graph_layout(graph, mean.clamp_(*bounds).to(target.dtype))

    return kernel


def max_pool(graph: Graph, operator: Operator) -> Kernel:
    """MaxPool over a (kh, kw) window; padding never wins."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    top, left, bottom, right = pads(operator)
    bounds = int16_bounds(target, operator.attributes["activation"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        raw = channels_first(graph, given(values, 0)).float()
        padded = functional.pad(raw, (left, right, top, bottom), value=float(INT16_MIN))
        largest = functional.max_pool2d(padded, kernel_hw, strides)
        return graph_layout(graph, largest.clamp_(*bounds).to(target.dtype))

    return kernel


def mean(graph: Graph, operator: Operator) -> Kernel:
    """Mean over some axes."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    axes, keepdims = tuple(operator.attributes["axes"]), bool(operator.attributes["keepdims"])
    count = int(np.prod([graph.tensors[operator.inputs[0]].shape[axis] for axis in axes]))
    factor, exponent = mantissa(float(source.scale) / float(target.scale), 31)
    spare = min(count.bit_length() - 1, 31 + exponent)
    factor, exponent = (factor << spare) // count, exponent - spare

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        total = given(values, 0).sum(dim=axes, keepdim=keepdims, dtype=torch.int64)
        return rescaled_by(total, factor, exponent).clamp_(target.low, target.high).to(target.dtype)

    return kernel


def bilinear_axis(size_in: int, size_out: int, coordinates: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lower index, upper index and 10-bit weight of the upper one, int64 (size_out,) each."""
    index = np.arange(size_out, dtype=np.int64)
    less = 1 if coordinates == "align_corners" and size_out > 1 else 0
    step = (((size_in - less) << FRACTION_BITS) + (size_out - less) // 2) // (size_out - less)
    position = index * step
    if coordinates == "half_pixel":
        position += step // 2 - (1 << (FRACTION_BITS - 1))
    lower = np.maximum(position >> FRACTION_BITS, 0)
    upper = np.minimum((position + (1 << FRACTION_BITS) - 1) >> FRACTION_BITS, size_in - 1)
    weight = position - (lower << FRACTION_BITS)
    return torch.from_numpy(lower), torch.from_numpy(upper), torch.from_numpy(weight)


def resize(graph: Graph, operator: Operator) -> Kernel:
    """Resize to size_hw; input and output share their parameters. Nearest moves values, as for 8 bits."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    if operator.attributes["mode"] != "linear":
        return resize8.resize(graph, operator)
    one = 1 << FRACTION_BITS
    (upper, lower, down), (left, right, across) = resize8.by_axis(graph, operator, bilinear_axis)
    down = down.reshape(-1, 1)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0)).long()  # n, c, h, w
        row = value.index_select(3, left) * (one - across) + value.index_select(3, right) * across
        total = row.index_select(2, upper) * (one - down) + row.index_select(2, lower) * down
        half = torch.where(total > 0, 1 << (2 * FRACTION_BITS - 1), -(1 << (2 * FRACTION_BITS - 1)))
        rounded = torch.div(total + half, 1 << (2 * FRACTION_BITS), rounding_mode="trunc")
        return graph_layout(graph, rounded.to(target.dtype))

    return kernel
