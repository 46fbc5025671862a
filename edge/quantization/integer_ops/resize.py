"""Resize, bilinear and nearest, on the raw integers.

Bilinear (XNNPACK s8-ibilinear): positions in float32, weights a = rint(fraction * 2**11);
row = (left << 11) + (right - left) * a_x; q = ((top << 11) + (bottom - top) * a_y + 2**21) >> 22: half up.
Nearest (the built-in kernel), in float32: the index is floor((x + 0.5) * in / out) for half_pixel, floor(x * in / out)
for asymmetric and round(x * (in - 1) / (out - 1)) for align_corners.
"""

from collections.abc import Sequence

import numpy as np
import torch

from edge.graph.graph import Graph, Operator
from edge.quantization.bilinear import WEIGHT_BITS, bilinear_neighbours
from edge.quantization.integer_ops.affine import Kernel, channels_first, given, graph_layout, pair, refuse, tied

F32 = np.float32


def bilinear_axis(size_in: int, size_out: int, coordinates: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lower index, upper index (int64) and Q11 weight of the upper one (int32), each (size_out,)."""
    lower, upper, weight = bilinear_neighbours(size_in, size_out, coordinates)
    return torch.from_numpy(lower), torch.from_numpy(upper), torch.from_numpy(weight)


def nearest_axis(size_in: int, size_out: int, coordinates: str) -> torch.Tensor:
    """The input index of each output cell, int64 (size_out,)."""
    index = np.arange(size_out, dtype=F32)
    less = 1 if coordinates == "align_corners" and size_out != 1 else 0
    scale = F32(size_in - less) / F32(size_out - less)
    if coordinates == "half_pixel":
        chosen = np.floor((index + F32(0.5)) * scale)
    elif coordinates == "align_corners":
        chosen = np.floor(index * scale + F32(0.5))
    else:
        chosen = np.floor(index * scale)
    return torch.from_numpy(np.clip(chosen, 0, size_in - 1).astype(np.int64))


def resize(graph: Graph, operator: Operator) -> Kernel:
    """Resize to size_hw; input and output share their parameters."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    height, width = pair(operator, "size_hw")
    shape = graph.tensors[operator.inputs[0]].shape
    in_height, in_width = shape[2:4] if graph.layout == "nchw" else shape[1:3]
    mode, coordinates = operator.attributes["mode"], operator.attributes["coordinates"]
    if mode == "nearest":
        rows, columns = nearest_axis(in_height, height, coordinates), nearest_axis(in_width, width, coordinates)

        def nearest(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
            value = channels_first(graph, given(values, 0))
            return graph_layout(graph, value.index_select(2, rows).index_select(3, columns))

        return nearest
    if mode != "linear":
        raise refuse(operator, f"mode '{mode}' has no integer kernel; linear and nearest have")
    upper, lower, weight_y = bilinear_axis(in_height, height, coordinates)
    left, right, weight_x = bilinear_axis(in_width, width, coordinates)
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
