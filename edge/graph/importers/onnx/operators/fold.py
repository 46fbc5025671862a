"""Nodes whose inputs are all constants: computed while reading, within a bound on memory."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.operators.shape import constant_of_shape_value
from edge.graph.importers.onnx.parsing.file import ELEMENT_TYPES
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical

Array = npt.NDArray[Any]
# Operators whose result may be much larger than their inputs: they count its memory before they make it.
MAKING = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})


def fold(importer: Importer, node: Node) -> bool:
    """Compute a node whose inputs are all plain constants. Tells whether it did."""
    if node.kind == "Constant":
        importer.add_constant(node.outputs[0], _constant(node))
        return True
    if node.kind == "Shape":
        shape = importer.tensor(node.input(0)).shape
        window = slice(node.attributes.get("start", 0), node.attributes.get("end"))
        importer.add_constant(node.outputs[0], np.array(shape[window], np.int64))
        return True
    if node.kind == "Size":
        importer.add_constant(node.outputs[0], np.array(prod(importer.tensor(node.input(0)).shape), np.int64))
        return True
    if node.kind == "Split":
        return _split(importer, node)
    if node.kind not in FOLDED or not node.inputs or len(node.outputs) != 1:
        return False
    tensors = [importer.tensor(name) for name in node.inputs if name]
    if any(tensor.data is None or tensor.quantization is not None for tensor in tensors):
        return False
    inputs = [importer.constant(name) if name else None for name in node.inputs]
    known = importer.types.get(node.outputs[0])
    if known is not None:
        importer.reserve(known[1], np.dtype(known[0]).itemsize)
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(FOLDED[node.kind](importer, node, inputs))
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise NotCanonical(f"cannot be computed: {error}") from error
    if known is None and node.kind not in MAKING:
        importer.reserve(result.shape, result.dtype.itemsize)
    importer.add_constant(node.outputs[0], result)
    return True


def _split(importer: Importer, node: Node) -> bool:
    """The parts of a plain constant. Tells whether it was one."""
    data = importer.tensor(node.input(0))
    if data.data is None or data.quantization is not None:
        return False
    axis = axis_of(node.attributes.get("axis", 0), len(data.shape))
    count, size = len(node.outputs), data.shape[axis]
    sizes = importer.integers(node.input(1)) if node.input(1) else ()
    if not sizes:
        part = -(-size // count)
        sizes = (*(part,) * (count - 1), size - part * (count - 1))
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 0:
        raise NotCanonical(f"parts of {sizes} of an axis of {size}")
    importer.reserve(data.shape, data.data.dtype.itemsize)
    ends = np.cumsum(sizes)
    for name, end, part in zip(node.outputs, ends, sizes, strict=True):
        importer.add_constant(name, np.take(data.data, np.arange(end - part, end), axis=axis))
    return True


def _constant(node: Node) -> Array:
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, np.ndarray):
            return value
        if name in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    raise NotCanonical("a constant of no supported form")


def _reserve(importer: Importer, node: Node, shape: Sequence[int], item_bytes: int) -> None:
    """Count the memory of a result before it is made, where its size was not known until now."""
    if node.outputs[0] not in importer.types:
        importer.reserve(shape, item_bytes)


def _constant_of_shape(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    shape, value = tuple(int(size) for size in inputs[0]), constant_of_shape_value(node)
    _reserve(importer, node, shape, value.dtype.itemsize)
    return np.full(shape, value)


def _cast(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    element = int(node.attributes.get("to", 0))
    if element not in ELEMENT_TYPES:
        raise NotCanonical(f"element type {element}")
    return np.asarray(inputs[0]).astype(ELEMENT_TYPES[element][0])


def _axes(node: Node, inputs: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in inputs[1]) if len(inputs) > 1 and inputs[1] is not None else ()


def _unsqueeze(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    return np.asarray(np.expand_dims(inputs[0], _axes(node, inputs)))


def _squeeze(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    return np.asarray(np.squeeze(inputs[0], _axes(node, inputs) or None))


def _reshape(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    shape = [int(size) for size in inputs[1]]
    if not node.attributes.get("allowzero", 0):
        shape = [inputs[0].shape[index] if size == 0 else size for index, size in enumerate(shape)]
    return np.asarray(np.reshape(inputs[0], shape))


def _gather(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    axis = axis_of(node.attributes.get("axis", 0), inputs[0].ndim)
    return np.asarray(np.take(inputs[0], inputs[1], axis=axis))


def _slice(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    data = inputs[0]
    given = [None if value is None else [int(entry) for entry in value] for value in inputs[1:]]
    starts, ends = given[0] or [], given[1] or []
    axes = given[2] if len(given) > 2 and given[2] is not None else list(range(len(starts)))
    steps = given[3] if len(given) > 3 and given[3] is not None else [1] * len(starts)
    windows = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, data.ndim)
        windows[place] = slice(start, None if step < 0 and end < -data.shape[place] else end, step)
    return np.asarray(data[tuple(windows)])


def _range(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    start, limit, step = (value.reshape(())[()] for value in inputs)
    count = max(0, int(np.ceil((limit - start) / step)))
    _reserve(importer, node, (count,), 8)
    return np.asarray(start + step * np.arange(count), inputs[0].dtype)


def _expand(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    shape = np.broadcast_shapes(inputs[0].shape, tuple(int(size) for size in inputs[1]))
    _reserve(importer, node, shape, 8)
    return np.broadcast_to(inputs[0], shape).copy()


def _tile(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    repeats = [int(count) for count in inputs[1]]
    _reserve(importer, node, [size * count for size, count in zip(inputs[0].shape, repeats, strict=True)], 8)
    return np.tile(inputs[0], repeats)


def _reduced(function: Callable[..., Any]) -> Callable[[Importer, Node, Sequence[Any]], Array]:
    def compute(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
        axes = _axes(node, inputs) or tuple(int(axis) for axis in node.attributes.get("axes", ()))
        if not axes and node.attributes.get("noop_with_empty_axes", 0):
            return np.asarray(inputs[0])
        keepdims = node.attributes.get("keepdims", 1) == 1
        return np.asarray(function(inputs[0], axis=axes or None, keepdims=keepdims)).astype(inputs[0].dtype)

    return compute


def _divide(importer: Importer, node: Node, inputs: Sequence[Any]) -> Array:
    if inputs[0].dtype.kind in "iu":  # ONNX truncates integer quotients toward zero
        if not np.all(inputs[1]):
            raise NotCanonical("division by zero")
        quotient = np.abs(inputs[0]) // np.abs(inputs[1]) * np.sign(inputs[0]) * np.sign(inputs[1])
        return np.asarray(quotient).astype(inputs[0].dtype)
    return np.asarray(inputs[0] / inputs[1])


FOLDED: Mapping[str, Callable[[Importer, Node, Sequence[Any]], Array]] = MappingProxyType(
    {
        "Add": lambda importer, node, inputs: np.add(inputs[0], inputs[1]),
        "Sub": lambda importer, node, inputs: np.subtract(inputs[0], inputs[1]),
        "Mul": lambda importer, node, inputs: np.multiply(inputs[0], inputs[1]),
        "Div": _divide,
        "Sqrt": lambda importer, node, inputs: np.sqrt(inputs[0]),
        "Exp": lambda importer, node, inputs: np.exp(inputs[0]),
        "Log": lambda importer, node, inputs: np.log(inputs[0]),
        "Pow": lambda importer, node, inputs: np.power(inputs[0], inputs[1]).astype(inputs[0].dtype),
        "Reciprocal": lambda importer, node, inputs: np.reciprocal(inputs[0]),
        "And": lambda importer, node, inputs: np.logical_and(inputs[0], inputs[1]),
        "Equal": lambda importer, node, inputs: np.equal(inputs[0], inputs[1]),
        "Expand": _expand,
        "Greater": lambda importer, node, inputs: np.greater(inputs[0], inputs[1]),
        "GreaterOrEqual": lambda importer, node, inputs: np.greater_equal(inputs[0], inputs[1]),
        "Less": lambda importer, node, inputs: np.less(inputs[0], inputs[1]),
        "LessOrEqual": lambda importer, node, inputs: np.less_equal(inputs[0], inputs[1]),
        "Not": lambda importer, node, inputs: np.logical_not(inputs[0]),
        "Or": lambda importer, node, inputs: np.logical_or(inputs[0], inputs[1]),
        "Range": _range,
        "ReduceMax": _reduced(np.max),
        "ReduceMin": _reduced(np.min),
        "ReduceProd": _reduced(np.prod),
        "ReduceSum": _reduced(np.sum),
        "Tile": _tile,
        "Where": lambda importer, node, inputs: np.where(inputs[0], inputs[1], inputs[2]),
        "Abs": lambda importer, node, inputs: np.abs(inputs[0]),
        "Max": lambda importer, node, inputs: reduce(np.maximum, inputs),
        "Min": lambda importer, node, inputs: reduce(np.minimum, inputs),
        "Neg": lambda importer, node, inputs: np.negative(inputs[0]),
        "Floor": lambda importer, node, inputs: np.floor(inputs[0]),
        "Ceil": lambda importer, node, inputs: np.ceil(inputs[0]),
        "Cast": _cast,
        "Concat": lambda importer, node, inputs: np.concatenate(inputs, axis=node.attributes.get("axis", 0)),
        "ConstantOfShape": _constant_of_shape,
        "Gather": _gather,
        "Identity": lambda importer, node, inputs: np.asarray(inputs[0]),
        "Reshape": _reshape,
        "Slice": _slice,
        "Squeeze": _squeeze,
        "Transpose": lambda importer, node, inputs: np.transpose(inputs[0], node.attributes.get("perm")).copy(),
        "Unsqueeze": _unsqueeze,
    }
)
