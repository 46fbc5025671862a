"""Operators that move values without changing them: concat, pad, reshape, transpose, slice."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from edge.execution.kernels.affine import Affine, Kernel, affine, given, refuse, tied
from edge.execution.kernels.pointwise import look_up
from edge.graph.graph import Graph, Operator

LARGEST_CHANGE = np.float32(2.0**20)


def _tied_if_quantized(graph: Graph, operator: Operator) -> None:
    names = [name for name in (*operator.inputs, *operator.outputs) if name]
    if graph.tensors[operator.outputs[0]].quantization is not None:
        tied(graph, operator, names)


def concat(graph: Graph, operator: Operator) -> Kernel:
    """Concat along an axis; all inputs and the output share their parameters, except over uint8."""
    axis = int(operator.attributes["axis"])
    changes = _changes(graph, operator)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        parts = [change([value]) for value, change in zip(values, changes, strict=True) if value is not None]
        batch = max(part.shape[0] for part in parts)
        if axis != 0:
            parts = [part.expand(batch, *part.shape[1:]) for part in parts]
        return torch.cat(parts, dim=axis)

    return kernel


def _changes(graph: Graph, operator: Operator) -> list[Kernel]:
    """What a Concat does to each input's values: nothing, or over uint8 a change of parameters.

    LiteRT's uint8 kernel (ConcatenationWithScaling) takes inputs of any parameters, in float32: r = s_in * (1 / s_out);
    q = round(q * r + (-z_in * r)) + z_out, rounded half away from zero, clamped. Its int8 kernel, and XNNPACK, refuse a
    file that asks for it; the int16 kernel copies the integers whatever they mean, which is refused here.
    """
    target = graph.tensors[operator.outputs[0]]
    if target.quantization is None or target.dtype != "uint8":
        _tied_if_quantized(graph, operator)
        return [_same] * len(operator.inputs)
    output = affine(graph, operator, target.name)
    sources = [affine(graph, operator, name) for name in operator.inputs]
    return [_same if source.same_as(output) else _change(operator, source, output) for source in sources]


def _same(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
    return given(values, 0)


def _change(operator: Operator, source: Affine, target: Affine) -> Kernel:
    ratio = source.scale * (np.float32(1) / target.scale)
    if source.dtype != target.dtype or ratio >= LARGEST_CHANGE:
        raise refuse(operator, f"an input of {source.dtype}, its scale {ratio:.3g} of the output's; uint8 below 2^20")
    integers = np.arange(source.low, source.high + 1, dtype=np.float32)
    scaled = (integers * ratio + np.float32(-source.zero_point) * ratio).astype(np.float64)
    rounded = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64) + target.zero_point
    return look_up(np.clip(rounded, target.low, target.high), source, target)


def pad(graph: Graph, operator: Operator) -> Kernel:
    """Pad with a real value, on the grid of the tensor."""
    target = tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    value = target.quantized(float(operator.attributes["value"]))
    flat = [amount for axis in reversed(operator.attributes["pads"]) for amount in axis]

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        return functional.pad(given(values, 0), flat, value=value)

    return kernel


def reshape(graph: Graph, operator: Operator) -> Kernel:
    """Reshape; a larger batch than the graph's stays on axis 0."""
    _tied_if_quantized(graph, operator)
    shape = tuple(int(size) for size in operator.attributes["shape"])
    size = int(np.prod(shape))

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0)
        times = value.numel() // size if size else 1
        return value.reshape(shape[0] * times, *shape[1:]) if shape else value.reshape(shape)

    return kernel


def transpose(graph: Graph, operator: Operator) -> Kernel:
    """Transpose."""
    _tied_if_quantized(graph, operator)
    perm = tuple(operator.attributes["perm"])
    return lambda values: given(values, 0).permute(perm)


def cut(graph: Graph, operator: Operator) -> Kernel:
    """Slice; an axis that is taken whole stays whole for any batch."""
    _tied_if_quantized(graph, operator)
    shape = graph.tensors[operator.inputs[0]].shape
    begin, end, strides = (tuple(operator.attributes[key]) for key in ("begin", "end", "strides"))
    index: list[torch.Tensor | None] = []
    for axis, size in enumerate(shape):
        whole = (begin[axis], end[axis], strides[axis]) == (0, size, 1)
        chosen = [position for position in range(begin[axis], end[axis], strides[axis]) if 0 <= position < size]
        index.append(None if whole else torch.tensor(chosen, dtype=torch.int64))
    return picked(index)


def picked(places: Sequence[torch.Tensor | None]) -> Kernel:
    """Along each axis the values at these places (int64), in their order; None takes the axis whole."""

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0)
        for axis, chosen in enumerate(places):
            if chosen is not None:
                value = value.index_select(axis, chosen)
        return value

    return kernel
