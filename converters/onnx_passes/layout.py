"""NCHW to NHWC, with a Transpose only where the mathematics needs one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from converters.onnx_passes.axis_order import TO_NHWC, Layout, NeededTranspose, Perm, is_reshape, natural_order
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator
from edge.graph.rewrite import fresh_name, rebuild

# Operators whose sense does not depend on the order of axes, once axis attributes are renumbered.
POINTWISE = frozenset(
    {"Relu", "Relu6", "Clip", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Quantize", "Dequantize"}
)


def to_nhwc(graph: Graph) -> Graph:
    """The same model over NHWC tensors; see `to_nhwc_with_reasons`."""
    return to_nhwc_with_reasons(graph)[0]


def to_nhwc_with_reasons(graph: Graph) -> tuple[Graph, tuple[NeededTranspose, ...]]:
    """Reorder a graph to NHWC and tell every Transpose that it had to insert, with the reason.

    Requires: an NCHW graph of canonical operators.
    Ensures: the same values and parameters; rank-4 inputs and outputs are NHWC, other ranks unchanged; weights stay
    (O, I, ...). Names are kept; a constant that is stored otherwise becomes `NAME/nhwc`. A Flatten before Gemm moves
    into the order of the weight's columns; a Transpose of the source that only undoes or makes NHWC vanishes.

    Raises:
        UnsupportedError: an operator without a rule, by name.
    """
    if graph.layout != "nchw":
        raise UnsupportedError(f"graph '{graph.name}' is {graph.layout} already")
    layout = Layout(graph=graph, tensors={n: t for n, t in graph.tensors.items() if t.data is not None})
    for name in graph.inputs:
        layout.declare(name, natural_order(layout.rank(name)))
    for operator in graph.operators:
        if operator.kind not in RULES:
            hint = "; fold it with fold_batch_norm first" if operator.kind == "BatchNorm" else ""
            raise UnsupportedError(f"operator '{operator.name}' ({operator.kind}) has no NHWC form{hint}")
        RULES[operator.kind](layout, operator)
    outputs = tuple(_output(layout, name) for name in graph.outputs)
    result = replace(graph, layout="nhwc", operators=tuple(layout.operators), tensors=layout.tensors, outputs=outputs)
    return rebuild(result, result.operators), tuple(layout.needed)


def _output(layout: Layout, name: str) -> str:
    """The graph output in its natural order and under its own name."""
    if layout.graph.tensors[name].data is not None:
        return name
    ending = Operator(kind="Reshape", name=f"{name}/output", inputs=(), outputs=(), attributes={"shape": ()})
    stored = layout.stored(name, natural_order(layout.rank(name)), ending, "a rank-4 output is NHWC")
    if stored == name or stored in layout.graph.inputs or stored in layout.graph.outputs:
        return stored
    if name in layout.tensors:
        layout.rename(name, fresh_name(f"{name}/stored", layout.tensors))
    layout.rename(stored, name)
    return name


def _spatial(layout: Layout, operator: Operator) -> None:
    """Conv, pools, Resize: channels last is what the kernels want."""
    x = layout.stored(operator.inputs[0], TO_NHWC, operator, f"{operator.kind} reads channels last")
    layout.write(operator, (x, *operator.inputs[1:]), operator.attributes, TO_NHWC)


def _pointwise(layout: Layout, operator: Operator) -> None:
    order = layout.order(operator.inputs[0])
    x = layout.stored(operator.inputs[0], order, operator, "")
    layout.write(operator, (x, *operator.inputs[1:]), operator.attributes, order)


def _gemm(layout: Layout, operator: Operator) -> None:
    x = layout.stored(operator.inputs[0], (0, 1), operator, "Gemm reads rows")
    weight = operator.inputs[1]
    if operator.inputs[0] in layout.columns:
        tensor = layout.tensors[weight]
        assert tensor.data is not None
        weight = fresh_name(f"{weight}/nhwc", layout.tensors)
        data = np.asarray(tensor.data[:, layout.columns[operator.inputs[0]]], order="C")
        layout.tensors[weight] = replace(tensor, name=weight, data=data)
    layout.write(operator, (x, weight, *operator.inputs[2:]), operator.attributes, (0, 1))


def _axes_of(operator: Operator, order: Perm) -> dict[str, Any]:
    """The operator's attributes with axes and per-axis values renumbered to the stored order."""
    attributes = dict(operator.attributes)
    if "axis" in attributes:
        attributes["axis"] = order.index(attributes["axis"])
    if "axes" in attributes:
        attributes["axes"] = tuple(sorted(order.index(axis) for axis in attributes["axes"]))
    for key in ("pads", "begin", "end", "strides"):
        if key in attributes:
            attributes[key] = tuple(attributes[key][axis] for axis in order)
    return attributes


def _same_shape(layout: Layout, operator: Operator) -> None:
    """Softmax, Pad, Slice, BatchNorm: any order does; Softmax wants its axis last where a choice exists."""
    order = layout.order(operator.inputs[0])
    x = layout.stored(operator.inputs[0], order, operator, "")
    layout.write(operator, (x, *operator.inputs[1:]), _axes_of(operator, order), order)


def _reduce(layout: Layout, operator: Operator) -> None:
    """Mean and ArgMax: the axes that remain keep the stored order."""
    order = layout.order(operator.inputs[0])
    x = layout.stored(operator.inputs[0], order, operator, "")
    attributes = _axes_of(operator, order)
    if operator.attributes["keepdims"]:
        layout.write(operator, (x,), attributes, order)
        return
    gone = operator.attributes.get("axes", (operator.attributes.get("axis"),))
    kept = [axis for axis in order if axis not in gone]
    layout.write(operator, (x,), attributes, tuple(sorted(kept).index(axis) for axis in kept))


def _joined(layout: Layout, operator: Operator) -> None:
    """Arithmetic and Concat: every operand in the first activation's order, lower ranks as broadcasting aligns them."""
    rank = layout.rank(operator.outputs[0])
    activations = [name for name in operator.inputs if name in layout.forms]
    full = [name for name in activations if layout.rank(name) == rank]
    if not full:
        raise UnsupportedError(f"operator '{operator.name}' ({operator.kind}) has no operand of the result's rank")
    order = layout.order(full[0])
    inputs = []
    for name in operator.inputs:
        if name not in layout.forms:
            inputs.append(layout.constant(name, order))
        elif layout.rank(name) == rank:
            reason = f"{operator.kind} joins tensors stored in different orders"
            inputs.append(layout.stored(name, order, operator, reason))
        else:
            inputs.append(_raised(layout, operator, name, order))
    layout.write(operator, inputs, _axes_of(operator, order), order)


def _raised(layout: Layout, operator: Operator, name: str, order: Perm) -> str:
    """An activation of lower rank with leading ones, in the given order."""
    plain = tuple(range(layout.rank(name)))
    source = layout.stored(name, plain, operator, "broadcasting aligns the last axes")
    tensor = layout.tensors[source]
    shape = (1,) * (len(order) - len(plain)) + tensor.shape
    target = fresh_name(f"{name}/raised", layout.tensors)
    layout.tensors[target] = replace(tensor, name=target, shape=shape)
    layout.operators.append(
        Operator(
            kind="Reshape",
            name=f"{target}/layout",
            inputs=(source,),
            outputs=(target,),
            attributes={"shape": shape},
            source="Reshape",
        )
    )
    if order == tuple(range(len(order))):
        return target
    moved = fresh_name(f"{target}/nhwc", layout.tensors)
    shape_moved = tuple(shape[axis] for axis in order)
    layout.tensors[moved] = replace(tensor, name=moved, shape=shape_moved)
    trivial = is_reshape(order, shape)
    attributes: dict[str, Any] = {"shape": shape_moved} if trivial else {"perm": order}
    if not trivial:
        layout.needed.append(
            NeededTranspose(operator=operator.name, tensor=name, reason="broadcasting aligns the last axes")
        )
    kind = "Reshape" if trivial else "Transpose"
    name_ = f"{moved}/layout"
    layout.operators.append(
        Operator(kind=kind, name=name_, inputs=(target,), outputs=(moved,), attributes=attributes, source=kind)
    )
    return moved


def _transpose(layout: Layout, operator: Operator) -> None:
    """Store nothing: each order of the input is some order of the output."""
    perm = operator.attributes["perm"]
    renumbered = [perm.index(axis) for axis in range(len(perm))]
    forms = layout.forms[operator.inputs[0]]
    output = operator.outputs[0]
    layout.forms[output] = {tuple(renumbered[axis] for axis in order): held for order, held in forms.items()}


def _reshape(layout: Layout, operator: Operator) -> None:
    """A Reshape reads the values in NCHW order, unless only Gemms read it: then their columns are reordered."""
    name, output = operator.inputs[0], operator.outputs[0]
    source = layout.graph.tensors[name]
    target = layout.graph.tensors[output]
    plain = tuple(range(len(source.shape)))
    order = next((held for held in layout.forms[name] if is_reshape(held, source.shape)), plain)
    if order == plain and plain not in layout.forms[name] and _feeds_gemms(layout, operator):
        order = layout.order(name)
        _reorder_columns(layout, operator, order)
    x = layout.stored(name, order, operator, "Reshape reads the values in NCHW order")
    wanted = natural_order(len(target.shape))
    kept = wanted if is_reshape(wanted, target.shape) else tuple(range(len(target.shape)))
    attributes = {"shape": tuple(target.shape[axis] for axis in kept)}
    layout.write(operator, (x,), attributes, kept)


def _feeds_gemms(layout: Layout, operator: Operator) -> bool:
    """Whether a Reshape flattens (1 or n, C, H, W) to (n, C * H * W) for Gemms alone."""
    source = layout.graph.tensors[operator.inputs[0]].shape
    output = operator.outputs[0]
    target = layout.graph.tensors[output].shape
    readers = layout.graph.consumers(output)
    flattens = len(source) == 4 and len(target) == 2 and target[0] == source[0]
    only_gemms = bool(readers) and all(
        reader.kind == "Gemm" and reader.inputs[0] == output and output not in reader.inputs[1:] for reader in readers
    )
    return flattens and only_gemms and output not in layout.graph.outputs


def _reorder_columns(layout: Layout, operator: Operator, order: Perm) -> None:
    """Remember in which order the Gemms that read this flattened tensor find its columns."""
    shape = layout.graph.tensors[operator.inputs[0]].shape
    places = np.arange(prod(shape[1:])).reshape(shape[1:])
    layout.columns[operator.outputs[0]] = places.transpose([axis - 1 for axis in order[1:]]).reshape(-1)


RULES: Mapping[str, Callable[[Layout, Operator], None]] = MappingProxyType(
    {
        **dict.fromkeys(("Conv", "AveragePool", "MaxPool", "Resize"), _spatial),
        **dict.fromkeys(POINTWISE, _pointwise),
        **dict.fromkeys(("Softmax", "Pad", "Slice"), _same_shape),
        **dict.fromkeys(("Mean", "ArgMax"), _reduce),
        **dict.fromkeys(("Add", "Sub", "Mul", "Concat"), _joined),
        "Gemm": _gemm,
        "Reshape": _reshape,
        "Transpose": _transpose,
    }
)
