"""Operators as torch's own functions, for any device and dtype; what is not here is built as for the float run.

The float run's formulas follow the index arithmetic of the integer kernels and hold constants on the CPU. These use
the function that a person would write in torch, and hold constants as buffers, so that they move with the module.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import nn
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.execution.float_run import BUILDERS
from edge.execution.kernels import float_layers as layers
from edge.execution.kernels.affine import (
    TORCH_DTYPES,
    Builder,
    Kernel,
    channels_first,
    given,
    graph_layout,
    pads,
    pair,
)
from edge.execution.kernels.float_layers import activated
from edge.execution.kernels.resize import nearest_axis
from edge.graph.graph import Graph, Operator
from edge.vision.bilinear import source_positions

Values = Sequence[torch.Tensor | None]


class Taken(nn.Module):
    """Values taken by index along some axes, one index tensor per axis."""

    def __init__(self, places: Mapping[int, Sequence[int]]) -> None:
        super().__init__()
        self.axes = tuple(places)
        for axis, chosen in places.items():
            self.register_buffer(f"axis_{axis}", torch.tensor(list(chosen), dtype=torch.int64))

    def forward(self, values: Values) -> torch.Tensor:
        """The operator's first input with every listed axis taken anew."""
        value = given(values, 0)
        for axis in self.axes:
            value = value.index_select(axis, self.get_buffer(f"axis_{axis}"))
        return value


class BilinearByIndex(nn.Module):
    """Bilinear resize of (n, c, h, w) by positions that `functional.interpolate` does not know."""

    def __init__(self, size_in: tuple[int, int], size_out: tuple[int, int], coordinates: str) -> None:
        super().__init__()
        for axis, (before, after) in enumerate(zip(size_in, size_out, strict=True)):
            position = torch.from_numpy(source_positions(before, after, coordinates))
            first = position.long()
            self.register_buffer(f"first_{axis}", first)
            self.register_buffer(f"second_{axis}", (first + 1).clamp(max=before - 1))
            self.register_buffer(f"weight_{axis}", position - first)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Rows, then columns."""
        for axis, name in ((3, "1"), (2, "0")):
            first = value.index_select(axis, self.get_buffer(f"first_{name}"))
            second = value.index_select(axis, self.get_buffer(f"second_{name}"))
            weight = self.get_buffer(f"weight_{name}")
            value = torch.lerp(first, second, weight if axis == 3 else weight.reshape(-1, 1))
        return value


class Layered(nn.Module):
    """A function of (n, c, h, w) applied in the graph's layout."""

    def __init__(self, graph: Graph, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.graph = graph
        self.function = function

    def forward(self, values: Values) -> torch.Tensor:
        """The operator's first input through the function."""
        return graph_layout(self.graph, self.function(channels_first(self.graph, given(values, 0))))


def resize(graph: Graph, operator: Operator) -> Kernel:
    """Resize: `functional.interpolate` where its positions are the file's, else by index."""
    height, width = pair(operator, "size_hw")
    shape = graph.tensors[operator.inputs[0]].shape
    size_in = (shape[2], shape[3]) if graph.layout == "nchw" else (shape[1], shape[2])
    mode, coordinates = operator.attributes["mode"], operator.attributes["coordinates"]
    if mode == "nearest":
        first = 2 if graph.layout == "nchw" else 1
        rows, columns = nearest_axis(size_in[0], height, coordinates), nearest_axis(size_in[1], width, coordinates)
        return Taken({first: rows.tolist(), first + 1: columns.tolist()})
    if mode != "linear":
        raise UnsupportedError(f"torch: Resize '{operator.name}': mode '{mode}'; linear and nearest are known")
    if coordinates == "asymmetric":
        return Layered(graph, BilinearByIndex(size_in, (height, width), coordinates))
    corners = coordinates == "align_corners"

    def bilinear(value: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(value, (height, width), mode="bilinear", align_corners=corners)

    return Layered(graph, bilinear)


def cut(graph: Graph, operator: Operator) -> Kernel:
    """Slice: torch's own slices forwards, by index backwards."""
    shape = graph.tensors[operator.inputs[0]].shape
    begin, end, strides = (tuple(operator.attributes[key]) for key in ("begin", "end", "strides"))
    if any(step < 0 for step in strides):
        ranges = {axis: range(begin[axis], end[axis], strides[axis]) for axis in range(len(shape))}
        return Taken({axis: [place for place in places if 0 <= place < shape[axis]] for axis, places in ranges.items()})
    places = tuple(slice(*limits) for limits in zip(begin, end, strides, strict=True))
    return lambda values: given(values, 0)[places]


def reflect_pad(graph: Graph, operator: Operator) -> Kernel:
    """ReflectPad: mirrored at the border, whose value is not repeated."""
    places: dict[int, list[int]] = {}
    sizes = graph.tensors[operator.inputs[0]].shape
    for axis, (size, (before, after)) in enumerate(zip(sizes, operator.attributes["pads"], strict=True)):
        if before or after:
            places[axis] = [*range(before, 0, -1), *range(size), *range(size - 2, size - 2 - after, -1)]
    return Taken(places)


def argmax(graph: Graph, operator: Operator) -> Kernel:
    """ArgMax by torch.argmax, which promises the first of equal largest values."""
    axis, keepdims = int(operator.attributes["axis"]), bool(operator.attributes["keepdims"])
    dtype = TORCH_DTYPES[graph.tensors[operator.outputs[0]].dtype]
    return lambda values: torch.argmax(given(values, 0), dim=axis, keepdim=keepdims).to(dtype)


def _pads_inside(operator: Operator, kernel_hw: tuple[int, int]) -> bool:
    """Whether torch's pools pad so themselves: alike on both sides, at most half a window."""
    top, left, bottom, right = pads(operator)
    return (top, left) == (bottom, right) and 2 * top <= kernel_hw[0] and 2 * left <= kernel_hw[1]


def max_pool(graph: Graph, operator: Operator) -> Kernel:
    """MaxPool with torch's own padding where it is even."""
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    if not _pads_inside(operator, kernel_hw):
        return layers.max_pool(graph, operator)
    top, left, _, _ = pads(operator)
    return Layered(
        graph, lambda value: activated(operator, functional.max_pool2d(value, kernel_hw, strides, (top, left)))
    )


def average_pool(graph: Graph, operator: Operator) -> Kernel:
    """AveragePool with torch's own padding where it is even."""
    kernel_hw, strides = pair(operator, "kernel"), pair(operator, "strides")
    if not _pads_inside(operator, kernel_hw):
        return layers.average_pool(graph, operator)
    top, left, _, _ = pads(operator)
    include = bool(operator.attributes["count_include_pad"])

    def pool(value: torch.Tensor) -> torch.Tensor:
        pooled = functional.avg_pool2d(value, kernel_hw, strides, (top, left), count_include_pad=include)
        return activated(operator, pooled)

    return Layered(graph, pool)


def conv_transpose(graph: Graph, operator: Operator) -> Kernel:
    """ConvTranspose by `functional.conv_transpose2d`, cut to the output's size."""
    strides, dilations, group = pair(operator, "strides"), pair(operator, "dilations"), operator.attributes["group"]
    top, left, _, _ = pads(operator)
    wanted, source = (graph.tensors[name].shape for name in (operator.outputs[0], operator.inputs[0]))
    first = 2 if graph.layout == "nchw" else 1
    outputs, inner, per_group, *kernel_hw = (
        wanted[1 if graph.layout == "nchw" else -1],
        graph.tensors[operator.inputs[1]].shape[1],
        graph.tensors[operator.inputs[1]].shape[0] // group,
        *graph.tensors[operator.inputs[1]].shape[2:],
    )
    size = [wanted[first], wanted[first + 1]]
    natural = [
        strides[axis] * (source[first + axis] - 1) + dilations[axis] * (kernel_hw[axis] - 1) + 1 - 2 * (top, left)[axis]
        for axis in range(2)
    ]
    more = [max(0, size[axis] - natural[axis]) for axis in range(2)]

    def kernel(values: Values) -> torch.Tensor:
        weight = given(values, 1).reshape(group, per_group, inner, *kernel_hw).transpose(1, 2)
        weight = weight.reshape(group * inner, per_group, *kernel_hw)
        bias = values[2] if len(values) > 2 else None
        value = channels_first(graph, given(values, 0))
        full = functional.conv_transpose2d(value, weight, bias, strides, (top, left), more, group, dilations)
        return graph_layout(graph, activated(operator, full[:, :outputs, : size[0], : size[1]]))

    return kernel


NATIVE: Mapping[str, Builder] = MappingProxyType(
    {
        **BUILDERS,
        "Resize": resize,
        "Slice": cut,
        "ReflectPad": reflect_pad,
        "ArgMax": argmax,
        "MaxPool": max_pool,
        "AveragePool": average_pool,
        "ConvTranspose": conv_transpose,
    }
)
