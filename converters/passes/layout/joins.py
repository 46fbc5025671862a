"""Operators of several operands, which must be stored in one order: arithmetic with broadcasting, Concat, Expand."""

from dataclasses import replace

import numpy as np

from converters.passes.layout.axis_order import Layout, Perm, natural_order
from converters.passes.layout.same_order import axes_of
from edge.errors import UnsupportedError
from edge.graph.graph import Operator


def joined(layout: Layout, operator: Operator) -> None:
    """Every operand in the order that moves the fewest values; lower ranks are aligned as broadcasting does."""
    rank = layout.rank(operator.outputs[0])
    activations = [name for name in operator.inputs if name in layout.forms]
    full = [name for name in activations if layout.rank(name) == rank]
    if not activations:
        raise UnsupportedError(f"operator '{operator.name}' ({operator.kind}) reads constants alone")
    order = _cheapest(layout, full, activations) if full else tuple(range(rank))
    columns = next((layout.columns[name] for name in full if name in layout.columns), None)
    if columns is not None and operator.kind == "Concat":
        layout.columns[operator.outputs[0]] = _joined_columns(layout, operator)
    elif columns is not None:
        layout.columns[operator.outputs[0]] = columns
    inputs = []
    for name in operator.inputs:
        if name not in layout.forms:
            held = layout.constant(name, order)
            inputs.append(held if columns is None else layout.reordered_columns(held, columns))
        elif layout.rank(name) == rank:
            reason = f"{operator.kind} joins tensors stored in different orders"
            inputs.append(layout.stored(name, order, operator, reason))
        else:
            inputs.append(raised(layout, operator, name, order))
    layout.write(operator, inputs, axes_of(operator, order), order)


def _cheapest(layout: Layout, full: list[str], activations: list[str]) -> Perm:
    """Of the orders that the operands are stored in already, the one that moves the fewest values."""
    rank = layout.rank(full[0])
    candidates = dict.fromkeys([layout.order(full[0]), *(order for name in full for order in layout.forms[name])])
    natural = natural_order(rank)

    def cost(order: Perm) -> tuple[int, bool]:
        moved = sum(layout.moved_values(name, aligned(order, layout.rank(name))) for name in activations)
        return moved, order != natural

    return min(candidates, key=cost)


def aligned(order: Perm, rank: int) -> Perm:
    """The order that an operand of lower rank must be stored in, so that leading ones bring it into `order`."""
    missing = len(order) - rank
    return tuple(axis - missing for axis in order if axis >= missing)


def raised(layout: Layout, operator: Operator, name: str, order: Perm) -> str:
    """An activation of lower rank with ones where broadcasting stretches it, in the given order."""
    rank = layout.rank(name)
    missing = len(order) - rank
    source = layout.stored(name, aligned(order, rank), operator, "broadcasting aligns the last axes")
    given = layout.graph.tensors[name].shape
    shape = tuple(1 if axis < missing else given[axis - missing] for axis in order)
    if shape == layout.tensors[source].shape:
        return source
    target = layout.fresh_name(f"{name}/raised")
    layout.tensors[target] = replace(layout.tensors[source], name=target, shape=shape)
    layout.append_move("Reshape", f"{target}/layout", source, target, {"shape": shape})
    return target


def expand(layout: Layout, operator: Operator) -> None:
    """Expand: the operand in its own order, stretched axes renumbered."""
    name = operator.inputs[0]
    rank = layout.rank(operator.outputs[0])
    order = layout.order(name) if layout.rank(name) == rank else tuple(range(rank))
    attributes = axes_of(operator, order)
    if layout.rank(name) != rank:
        layout.write(operator, (raised(layout, operator, name, order),), attributes, order)
        return
    layout.write(operator, (layout.forms[name][order],), attributes, order)


def _joined_columns(layout: Layout, operator: Operator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The stored order of the columns of several flattened tensors side by side."""
    parts, start = [], 0
    for name in operator.inputs:
        width = layout.graph.tensors[name].shape[1]
        parts.append(start + layout.columns.get(name, np.arange(width)))
        start += width
    return np.concatenate(parts).astype(np.int64)
