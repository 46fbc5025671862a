"""Operators that move, cut or join values without computing: reshape, transpose, slice, split, concat, cast."""

from math import prod

import numpy as np

from edge.graph.graph import Quantization
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical


def identity(importer: Importer, node: Node) -> None:
    """Identity and Dropout vanish: the output is the input."""
    if any(node.outputs[1:]):
        raise NotCanonical("a Dropout mask")
    if node.kind == "Dropout" and node.input(2) and bool(importer.required_constant(node.input(2)).data):
        raise NotCanonical("training mode")
    importer.tensor(node.input(0))
    importer.alias(node.outputs[0], node.input(0))


def reshape(importer: Importer, node: Node) -> None:
    """Reshape, Flatten, Squeeze and Unsqueeze: a Reshape to the static output shape."""
    x = importer.tensor(node.input(0))
    output = node.outputs[0]
    shape = importer.types[output][1] if output in importer.types else None
    if shape is None or prod(shape) != prod(x.shape):
        raise NotCanonical("output of unknown shape")
    if shape == x.shape:
        importer.alias(output, x.name)
        return
    if x.data is not None:
        if x.quantization is not None and x.quantization.axis is not None:
            raise NotCanonical("a constant quantized along an axis changes its shape")
        importer.reserve(shape, x.data.dtype.itemsize)
        importer.add_constant(output, x.data.reshape(shape), x.quantization)
        return
    importer.emit("Reshape", node, (x.name,), {"shape": shape})


def transpose(importer: Importer, node: Node) -> None:
    """Transpose; without perm it reverses the axes."""
    x = importer.tensor(node.input(0))
    perm = tuple(int(axis) for axis in node.attributes.get("perm", range(len(x.shape) - 1, -1, -1)))
    if sorted(perm) != list(range(len(x.shape))):
        raise NotCanonical(f"perm {perm}")
    if x.data is not None:
        importer.reserve(x.shape, x.data.dtype.itemsize)
        importer.add_constant(node.outputs[0], x.data.transpose(perm).copy(), _moved(x.quantization, perm))
        return
    importer.emit("Transpose", node, (x.name,), {"perm": perm})


def _moved(quantization: Quantization | None, perm: tuple[int, ...]) -> Quantization | None:
    """Parameters along an axis, after a transposition."""
    if quantization is None or quantization.axis is None:
        return quantization
    axis = perm.index(quantization.axis)
    return Quantization(scale=quantization.scale, zero_point=quantization.zero_point, axis=axis)


def slice_(importer: Importer, node: Node) -> None:
    """Slice with constant limits, clamped to the shape; a negative step runs from `begin` down to above `end`."""
    x = importer.tensor(node.input(0))
    starts, ends = importer.integers(node.input(1)), importer.integers(node.input(2))
    rank = len(x.shape)
    axes = importer.integers(node.input(3)) if node.input(3) else tuple(range(len(starts)))
    steps = importer.integers(node.input(4)) if node.input(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise NotCanonical("limits and steps that do not go together")
    begin, end, strides = [0] * rank, list(x.shape), [1] * rank
    for start, stop, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, rank)
        begin[place], end[place], strides[place] = slice(start, stop, step).indices(x.shape[place])
    attributes = {"begin": tuple(begin), "end": tuple(end), "strides": tuple(strides)}
    if begin == [0] * rank and end == list(x.shape) and strides == [1] * rank:
        importer.alias(node.outputs[0], x.name)
        return
    importer.emit("Slice", node, (x.name,), attributes)


def split(importer: Importer, node: Node) -> None:
    """Split becomes one Slice per output."""
    x = importer.tensor(node.input(0))
    axis = axis_of(node.attributes.get("axis", 0), len(x.shape))
    for output in node.outputs:
        if len(importer.types.get(output, ("", ()))[1]) != len(x.shape):
            raise NotCanonical("output of unknown shape")
    place = 0
    for output in node.outputs:
        shape = importer.declare(output).shape
        begin = tuple(place if index == axis else 0 for index in range(len(shape)))
        end = tuple(place + shape[axis] if index == axis else size for index, size in enumerate(x.shape))
        place += shape[axis]
        attributes = {"begin": begin, "end": end, "strides": (1,) * len(shape)}
        importer.append("Slice", node.name, (x.name,), (output,), attributes, node.kind)


def concat(importer: Importer, node: Node) -> None:
    """Concat along one axis."""
    tensors = [importer.tensor(name) for name in node.inputs]
    if not tensors:
        raise NotCanonical("nothing to join")
    axis = axis_of(node.attributes.get("axis", 0), len(tensors[0].shape))
    importer.emit("Concat", node, [tensor.name for tensor in tensors], {"axis": axis})


def cast(importer: Importer, node: Node) -> None:
    """A Cast that changes nothing vanishes; one of an ArgMax to int32 becomes its own output type."""
    x = importer.tensor(node.input(0))
    output = node.outputs[0]
    dtype = importer.types.get(output, ("", ()))[0]
    if dtype == x.dtype:
        importer.alias(output, x.name)
        return
    last = importer.operators[-1] if importer.operators else None
    if (
        last is None
        or last.kind != "ArgMax"
        or last.outputs != (x.name,)
        or dtype != "int32"
        or importer.uses[x.name] != 1
    ):
        if not dtype:
            raise NotCanonical("to an unknown type")
        importer.emit("Cast", node, (x.name,), {})
        return
    importer.operators.pop()
    importer.names.discard(last.name)
    importer.declare(output)
    importer.append("ArgMax", last.name, last.inputs, (output,), last.attributes, last.source)


def constant_of_shape_value(node: Node) -> np.generic:
    """The number that ConstantOfShape fills with; float32 zero by default."""
    value = node.attributes.get("value")
    return np.float32(0) if value is None else np.asarray(value).reshape(-1)[0]
