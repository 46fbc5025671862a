"""Float32 operators with weights or windows: Conv, Gemm, BatchNorm, pools, resize."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.execution.kernels.affine import Kernel, channels_first, given, graph_layout, pads, pair
from edge.execution.kernels.resize import by_axis, nearest
from edge.graph.graph import Graph, Operator
from edge.vision.bilinear import source_positions

ACTIVATIONS = {"none": lambda value: value, "relu": functional.relu, "relu6": functional.relu6}


def activated(operator: Operator, value: torch.Tensor) -> torch.Tensor:
    """Apply the operator's fused activation."""
    result: torch.Tensor = ACTIVATIONS[operator.attributes["activation"]](value)
    return result


def conv(graph: Graph, operator: Operator) -> Kernel:
    """Conv with any group, dilation and explicit zero padding."""
    strides, dilations, group = pair(operator, "strides"), pair(operator, "dilations"), operator.attributes["group"]
    top, left, bottom, right = pads(operator)
    even = (top, left) == (bottom, right)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        if not even:
            value = functional.pad(value, (left, right, top, bottom))
        bias = values[2] if len(values) > 2 else None
        padding = (top, left) if even else (0, 0)
        result = functional.conv2d(value, given(values, 1), bias, strides, padding, dilations, group)
        return graph_layout(graph, activated(operator, result))

    return kernel


def gemm(graph: Graph, operator: Operator) -> Kernel:
    """Gemm: x times the transposed weight plus bias."""

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        bias = values[2] if len(values) > 2 else None
        return activated(operator, functional.linear(given(values, 0), given(values, 1), bias))

    return kernel


def matmul(graph: Graph, operator: Operator) -> Kernel:
    """MatMul of matrices, leading axes broadcast."""
    return lambda values: given(values, 0) @ given(values, 1)


def batch_norm(graph: Graph, operator: Operator) -> Kernel:
    """BatchNorm with its stored statistics."""
    epsilon = float(operator.attributes["epsilon"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value, gamma, beta, mean, variance = (given(values, index) for index in range(5))
        normal = functional.batch_norm(channels_first(graph, value), mean, variance, gamma, beta, eps=epsilon)
        return graph_layout(graph, normal)

    return kernel


def average_pool(graph: Graph, operator: Operator) -> Kernel:
    """AveragePool; padding cells are counted only if the operator says so."""
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    top, left, bottom, right = pads(operator)
    include = bool(operator.attributes["count_include_pad"])

    def window_sum(value: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(value, (left, right, top, bottom))
        return functional.avg_pool2d(padded, kernel_hw, strides, divisor_override=1)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        cells = kernel_hw[0] * kernel_hw[1] if include else window_sum(torch.ones_like(value[:1, :1]))
        return graph_layout(graph, activated(operator, window_sum(value) / cells))

    return kernel


def max_pool(graph: Graph, operator: Operator) -> Kernel:
    """MaxPool; padding never wins."""
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    top, left, bottom, right = pads(operator)
    dtype = np.dtype(graph.tensors[operator.inputs[0]].dtype)
    lowest = float("-inf") if dtype.kind == "f" else int(np.iinfo(dtype).min)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        padded = functional.pad(value, (left, right, top, bottom), value=lowest)
        return graph_layout(graph, activated(operator, functional.max_pool2d(padded, kernel_hw, strides)))

    return kernel


def resize(graph: Graph, operator: Operator) -> Kernel:
    """Resize, bilinear or nearest, with the index arithmetic of the integer kernels."""
    mode = operator.attributes["mode"]
    if mode == "nearest":
        return nearest(graph, operator)
    if mode != "linear":
        raise UnsupportedError(f"float run: Resize '{operator.name}': mode '{mode}'; linear and nearest are known")
    (upper, lower, weight_y), (left, right, weight_x) = by_axis(graph, operator, _linear_axis)

    def bilinear(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        row = torch.lerp(value.index_select(3, left), value.index_select(3, right), weight_x)
        result = torch.lerp(row.index_select(2, upper), row.index_select(2, lower), weight_y.reshape(-1, 1))
        return graph_layout(graph, result)

    return bilinear


def _linear_axis(size_in: int, size_out: int, coordinates: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    position = torch.from_numpy(source_positions(size_in, size_out, coordinates))
    first = position.long()
    return first, (first + 1).clamp(max=size_in - 1), position - first
