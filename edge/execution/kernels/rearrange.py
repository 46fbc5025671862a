"""Operators that rearrange or repeat values without changing them; the float execution uses the same functions."""

from collections.abc import Sequence

import torch

from edge.execution.kernels.affine import (
    TORCH_DTYPES,
    Kernel,
    channels_first,
    given,
    graph_layout,
    refuse,
    tied,
)
from edge.execution.kernels.movement import picked
from edge.graph.graph import Graph, Operator


def _keeps(graph: Graph, operator: Operator) -> None:
    """Refuse (UnsupportedError) a data input and an output with other parameters."""
    if graph.tensors[operator.outputs[0]].quantization is not None:
        tied(graph, operator, (operator.inputs[0], operator.outputs[0]))


def gather(graph: Graph, operator: Operator) -> Kernel:
    """Gather along an axis: the index tensor's axes take the place of that axis."""
    _keeps(graph, operator)
    axis = int(operator.attributes["axis"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        data, indices = given(values, 0), given(values, 1)
        taken = data.index_select(axis, indices.reshape(-1).long())
        return taken.reshape(*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])

    return kernel


def depth_to_space(graph: Graph, operator: Operator) -> Kernel:
    """DepthToSpace: (n, C * b * b, h, w) to (n, C, h * b, w * b), by the block first (DCR) or the channel (CRD)."""
    _keeps(graph, operator)
    block, depth_first = int(operator.attributes["block"]), operator.attributes["mode"] == "CRD"

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        count, channels, height, width = value.shape
        kept = channels // (block * block)
        if depth_first:
            split = value.reshape(count, kept, block, block, height, width).permute(0, 1, 4, 2, 5, 3)
        else:
            split = value.reshape(count, block, block, kept, height, width).permute(0, 3, 4, 1, 5, 2)
        return graph_layout(graph, split.reshape(count, kept, height * block, width * block))

    return kernel


def space_to_depth(graph: Graph, operator: Operator) -> Kernel:
    """SpaceToDepth: (n, C, h * b, w * b) to (n, b * b * C, h, w), the block first."""
    _keeps(graph, operator)
    block = int(operator.attributes["block"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = channels_first(graph, given(values, 0))
        count, channels, height, width = value.shape
        split = value.reshape(count, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
        return graph_layout(graph, split.reshape(count, channels * block * block, height // block, width // block))

    return kernel


def tile(graph: Graph, operator: Operator) -> Kernel:
    """Tile: the whole tensor repeated along every axis."""
    _keeps(graph, operator)
    repeats = tuple(int(count) for count in operator.attributes["repeats"])
    return lambda values: given(values, 0).tile(repeats)


def expand(graph: Graph, operator: Operator) -> Kernel:
    """Expand: axes of size 1 repeated; a larger batch than the graph's stays."""
    _keeps(graph, operator)
    shape = tuple(int(size) for size in operator.attributes["shape"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0)
        if value.dim() == len(shape) and shape[0] == 1:
            return value.expand(value.shape[0], *shape[1:]).contiguous()
        return value.expand(shape).contiguous()

    return kernel


def reflect_pad(graph: Graph, operator: Operator) -> Kernel:
    """ReflectPad: mirrored at the border, whose value is not repeated."""
    _keeps(graph, operator)
    source = graph.tensors[operator.inputs[0]].shape
    mirrored: list[torch.Tensor | None] = []
    for size, (before, after) in zip(source, operator.attributes["pads"], strict=True):
        if max(before, after) >= size and (before or after):
            raise refuse(operator, f"pads {before} and {after} of an axis of {size}; a mirror has at most {size - 1}")
        places = [*range(before, 0, -1), *range(size), *range(size - 2, size - 2 - after, -1)]
        mirrored.append(torch.tensor(places, dtype=torch.int64) if before or after else None)
    return picked(mirrored)


def cast(graph: Graph, operator: Operator) -> Kernel:
    """Cast between plain numbers; floats lose their fraction."""
    source, target = (graph.tensors[name] for name in (operator.inputs[0], operator.outputs[0]))
    if source.quantization is not None or target.quantization is not None:
        raise refuse(operator, "a quantized tensor changes its type by Quantize and Dequantize")
    if target.dtype not in TORCH_DTYPES:
        raise refuse(operator, f"to {target.dtype}")
    dtype = TORCH_DTYPES[target.dtype]
    return lambda values: given(values, 0).to(dtype)
