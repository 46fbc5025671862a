"""Gemm and MatMul: rows of the last axis."""

from converters.passes.layout.axis_order import Layout, Perm
from edge.graph.graph import Operator


def gemm(layout: Layout, operator: Operator) -> None:
    """Gemm reads along its input's last axis; the columns of its weight follow a flattened tensor's stored order."""
    name, weight = operator.inputs[0], operator.inputs[1]
    rank = layout.rank(name)
    order = layout.order(name)
    if order[-1] != rank - 1:
        order = next((held for held in layout.forms[name] if held[-1] == rank - 1), tuple(range(rank)))
    x = layout.stored(name, order, operator, "Gemm reads along the last axis")
    if name in layout.columns:
        weight = layout.reordered_columns(weight, layout.columns[name])
    layout.write(operator, (x, weight, *operator.inputs[2:]), operator.attributes, order)


def matmul(layout: Layout, operator: Operator) -> None:
    """MatMul of activations or constants: rows and columns last, the leading axes of both in one order."""
    rank = layout.rank(operator.outputs[0])
    plain: Perm = tuple(range(rank))
    inputs = []
    for name in operator.inputs:
        own = tuple(range(layout.rank(name)))
        held = name
        if name in layout.forms:
            held = layout.stored(name, own, operator, "MatMul reads rows and columns last")
        inputs.append(held)
    layout.write(operator, inputs, operator.attributes, plain)
