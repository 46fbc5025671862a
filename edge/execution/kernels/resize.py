"""Resize, bilinear and nearest, on the raw integers.

Bilinear (XNNPACK s8-ibilinear): positions in float32, weights a = rint(fraction * 2**11);
row = (left << 11) + (right - left) * a_x; q = ((top << 11) + (bottom - top) * a_y + 2**21) >> 22: half up.
Nearest (the built-in kernel): see `edge.graph.importers.onnx.operators.resize.kernel_indices`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from edge.execution.kernels.affine import Kernel, channels_first, given, graph_layout, pair, refuse, tied
from edge.graph.graph import Graph, Operator
from edge.graph.importers.onnx.operators.resize import kernel_indices
from edge.vision.bilinear import WEIGHT_BITS, bilinear_neighbours

Indices = TypeVar("Indices")


def bilinear_axis(size_in: int, size_out: int, coordinates: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lower index, upper index (int64) and Q11 weight of the upper one (int32), each (size_out,)."""
    lower, upper, weight = bilinear_neighbours(size_in, size_out, coordinates)
    return torch.from_numpy(lower), torch.from_numpy(upper), torch.from_numpy(weight)


def nearest_axis(size_in: int, size_out: int, coordinates: str) -> torch.Tensor:
    """The input index of each output cell, int64 (size_out,)."""
    return torch.from_numpy(kernel_indices(size_in, size_out, coordinates))


def by_axis(graph: Graph, operator: Operator, axis: Callable[[int, int, str], Indices]) -> tuple[Indices, Indices]:
    """What `axis` says of the height and of the width, from the sizes in and out and the coordinates' name."""
    shape = graph.tensors[operator.inputs[0]].shape
    in_height, in_width = shape[2:4] if graph.layout == "nchw" else shape[1:3]
    height, width = pair(operator, "size_hw")
    coordinates = operator.attributes["coordinates"]
    return axis(in_height, height, coordinates), axis(in_width, width, coordinates)


def nearest(graph: Graph, operator: Operator) -> Kernel:
    """Each output cell takes the value of one input cell; for integers and floats alike."""
    rows, columns = by_axis(graph, operator, nearest_axis)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        return graph_layout(graph, value.index_select(2, rows).index_select(3, columns))

    return kernel


def resize(graph: Graph, operator: Operator) -> Kernel:
    """Resize to size_hw; input and output share their parameters."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    mode = operator.attributes["mode"]
    if mode == "nearest":
        return nearest(graph, operator)
    if mode != "linear":
        raise refuse(operator, f"mode '{mode}' has no integer kernel; linear and nearest have")
    (upper, lower, weight_y), (left, right, weight_x) = by_axis(graph, operator, bilinear_axis)
    weight_y = weight_y.reshape(-1, 1)

    def bilinear(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0)).int()  # n, c, h, w
        first = value.index_select(3, left)
        row = (value.index_select(3, right) - first).mul_(weight_x).add_(first, alpha=1 << WEIGHT_BITS)
        top = row.index_select(2, upper)
        total = (row.index_select(2, lower) - top).mul_(weight_y).add_(top, alpha=1 << WEIGHT_BITS)
        total.add_(1 << (2 * WEIGHT_BITS - 1)).bitwise_right_shift_(2 * WEIGHT_BITS)
        return graph_layout(graph, total.to(target.dtype))

    return bilinear
