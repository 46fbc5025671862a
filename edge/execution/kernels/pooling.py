"""Average pool, max pool and mean.

AveragePool (the built-in kernel; XNNPACK leaves it alone): the sum S of the raw q over the n cells of the window that
lie inside the image; q = (S + n // 2) // n for S > 0, -((-S + n // 2) // n) otherwise: half away from zero.
Mean (XNNPACK qs8-rdsum, then a float32 conversion): m = float32(s_in / s_out) * float32(1 / n), S the sum of the raw q;
q = rint(float32(S) * m + (zero_out - float32(n * zero_in) * m)), each step rounded to float32.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from edge.execution.kernels.affine import (
    Kernel,
    activation_range,
    affine,
    channels_first,
    given,
    graph_layout,
    pads,
    pair,
    refuse,
    tied,
)
from edge.graph.graph import Graph, Operator


def average_pool(graph: Graph, operator: Operator) -> Kernel:
    """AveragePool over a (kh, kw) window; padding cells are not counted."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    top, left, bottom, right = pads(operator)
    if operator.attributes["count_include_pad"] and (top or left or bottom or right):
        raise refuse(operator, "padding counted in the mean has no integer kernel; pad outside and use a Mean")
    low, high = activation_range(target, operator.attributes["activation"])
    cells = kernel_hw[0] * kernel_hw[1]

    def window_sum(value: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(value, (left, right, top, bottom))
        return functional.avg_pool2d(padded, kernel_hw, strides, divisor_override=1)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        raw = channels_first(graph, given(values, 0)).float()
        total = window_sum(raw).to(torch.int32)  # exact: at most 255 * cells < 2**24
        count = window_sum(torch.ones_like(raw[:1, :1])).to(torch.int32)
        half = torch.div(count, 2, rounding_mode="floor")
        signed = torch.where(total > 0, total + half, total - half)
        mean = torch.div(signed, count, rounding_mode="trunc")
        return graph_layout(graph, mean.clamp_(low, high).to(target.dtype))

    if cells * 255 >= 1 << 24:
        raise refuse(operator, f"a window of {cells} cells is too large")
    return kernel


def max_pool(graph: Graph, operator: Operator) -> Kernel:
    """MaxPool over a (kh, kw) window; padding never wins."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    top, left, bottom, right = pads(operator)
    low, high = activation_range(target, operator.attributes["activation"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        raw = channels_first(graph, given(values, 0)).float()
        padded = functional.pad(raw, (left, right, top, bottom), value=float("-inf"))
        largest = functional.max_pool2d(padded, kernel_hw, strides)
        return graph_layout(graph, largest.clamp_(low, high).to(target.dtype))

    return kernel


def mean(graph: Graph, operator: Operator) -> Kernel:
    """Mean over some axes."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    axes = tuple(operator.attributes["axes"])
    keepdims = bool(operator.attributes["keepdims"])
    count = int(np.prod([graph.tensors[operator.inputs[0]].shape[axis] for axis in axes]))
    factor = np.float32(source.scale / target.scale) * (np.float32(1) / np.float32(count))
    shift = np.float32(target.zero_point) - np.float32(count * source.zero_point) * factor

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        total = given(values, 0).sum(dim=axes, keepdim=keepdims, dtype=torch.int32).float()
        real = total.mul_(float(factor)).add_(float(shift))
        return real.round_().clamp_(target.low, target.high).to(target.dtype)

    return kernel
