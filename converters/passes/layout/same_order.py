"""Operators whose result is stored in the order of their input: rectifiers, pads, slices, reductions, softmax."""

from typing import Any

from converters.passes.layout.axis_order import TO_NHWC, Layout, Perm
from edge.graph.graph import Operator

PER_AXIS = ("pads", "begin", "end", "strides", "repeats", "shape")


def spatial(layout: Layout, operator: Operator) -> None:
    """Conv, pools, Resize: channels last is what the kernels want."""
    x = layout.stored(operator.inputs[0], TO_NHWC, operator, f"{operator.kind} reads channels last")
    layout.write(operator, (x, *operator.inputs[1:]), operator.attributes, TO_NHWC)


def pointwise(layout: Layout, operator: Operator) -> None:
    """One value at a time: any order does."""
    name = operator.inputs[0]
    order = layout.order(name)
    layout.write(operator, (layout.forms[name][order], *operator.inputs[1:]), operator.attributes, order)
    if name in layout.columns:
        layout.columns[operator.outputs[0]] = layout.columns[name]


def same_shape(layout: Layout, operator: Operator) -> None:
    """Pad, Slice, Tile: any order does, once per-axis values are renumbered."""
    name = operator.inputs[0]
    order = layout.order(name)
    layout.write(operator, (layout.forms[name][order], *operator.inputs[1:]), axes_of(operator, order), order)


def last_axis(layout: Layout, operator: Operator) -> None:
    """Softmax and its like: the kernels work along the last stored axis."""
    name, axis = operator.inputs[0], operator.attributes["axis"]
    order = layout.order(name)
    if order[-1] != axis:
        held = [form for form in layout.forms[name] if form[-1] == axis]
        order = held[0] if held else (*(other for other in order if other != axis), axis)
    x = layout.stored(name, order, operator, f"{operator.kind} works along the last axis")
    layout.write(operator, (x, *operator.inputs[1:]), axes_of(operator, order), order)


def reduce(layout: Layout, operator: Operator) -> None:
    """Mean, ReduceMax, ArgMax: the axes that remain keep the stored order."""
    name = operator.inputs[0]
    order = layout.order(name)
    x = layout.forms[name][order]
    attributes = axes_of(operator, order)
    if operator.attributes["keepdims"]:
        layout.write(operator, (x,), attributes, order)
        return
    gone = operator.attributes.get("axes", (operator.attributes.get("axis"),))
    kept = [axis for axis in order if axis not in gone]
    layout.write(operator, (x,), attributes, tuple(sorted(kept).index(axis) for axis in kept))


def transpose(layout: Layout, operator: Operator) -> None:
    """Store nothing: each order of the input is some order of the output."""
    perm = operator.attributes["perm"]
    renumbered = [perm.index(axis) for axis in range(len(perm))]
    forms = layout.forms[operator.inputs[0]]
    output = operator.outputs[0]
    layout.forms[output] = {tuple(renumbered[axis] for axis in order): held for order, held in forms.items()}


def gather(layout: Layout, operator: Operator) -> None:
    """Gather along one axis: that axis gives way to those of the indices, in place."""
    name, indices = operator.inputs
    axis = operator.attributes["axis"]
    rank = layout.rank(indices)
    if indices in layout.forms:
        indices = layout.stored(indices, tuple(range(rank)), operator, "Gather reads its indices in their own order")
    if name not in layout.forms:  # picks from a constant, a table
        layout.write(operator, (name, indices), operator.attributes, tuple(range(layout.rank(operator.outputs[0]))))
        return
    order = layout.order(name)
    result: list[int] = []
    for held in order:
        if held == axis:
            result.extend(range(axis, axis + rank))
        else:
            result.append(held if held < axis else held + rank - 1)
    layout.write(operator, (layout.forms[name][order], indices), axes_of(operator, order), tuple(result))


def axes_of(operator: Operator, order: Perm) -> dict[str, Any]:
    """The operator's attributes with axes and per-axis values renumbered to the stored order."""
    attributes = dict(operator.attributes)
    if "axis" in attributes:
        attributes["axis"] = order.index(attributes["axis"])
    if "axes" in attributes:
        attributes["axes"] = tuple(sorted(order.index(axis) for axis in attributes["axes"]))
    for key in PER_AXIS:
        if key in attributes:
            attributes[key] = tuple(attributes[key][axis] for axis in order)
    return attributes
