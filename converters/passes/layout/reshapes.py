"""Reshape over stored orders: what splits or merges neighbouring axes needs no Transpose."""

from collections.abc import Sequence
from math import prod

import numpy as np

from converters.passes.layout.absorb import columns_are_absorbed
from converters.passes.layout.axis_order import Layout, Perm, natural_order
from edge.graph.graph import Operator

Groups = list[tuple[tuple[int, ...], tuple[int, ...]]]


def reshape(layout: Layout, operator: Operator) -> None:
    """Reshape the tensor as it is stored, where each group of axes that is split or merged lies together and in order.

    Otherwise, where Gemms alone read a flattened tensor, their columns take up the stored order; else the tensor is
    transposed just as far as the merged axes demand.
    """
    name, output = operator.inputs[0], operator.outputs[0]
    source, target = layout.graph.tensors[name].shape, layout.graph.tensors[output].shape
    groups = axis_groups(source, target)
    results = {order: carried(order, groups, source, target) for order in _held(layout, name)}
    fitting = [(order, result) for order, result in results.items() if result is not None]
    if fitting:
        natural = natural_order(len(target))
        order, result = next((pair for pair in fitting if pair[1] == natural), fitting[0])
        _write(layout, operator, order, result, "")
        return
    if _flattens(source, target) and columns_are_absorbed(layout.graph, output):
        order = layout.order(name)
        places = np.arange(prod(source[1:])).reshape(source[1:])
        layout.columns[output] = places.transpose([axis - 1 for axis in order[1:]]).reshape(-1)
        _write(layout, operator, order, (0, 1), "")
        return
    order, result = _demanded(groups, source, target)
    merged = next(ins for ins, _ in groups if len(ins) > 1 and not _together(layout.order(name), ins))
    reason = f"Reshape merges the axes {', '.join(map(str, merged))} of {'x'.join(map(str, source))} in this order"
    _write(layout, operator, order, result, reason)


def axis_groups(source: Sequence[int], target: Sequence[int]) -> Groups:
    """The smallest groups of neighbouring axes with equal products; axes of size 1 belong to none.

    (2, 12, 5) -> (2, 3, 4, 5) gives ((0,), (0,)), ((1,), (1, 2)), ((2,), (3,)).
    """
    left = [axis for axis, size in enumerate(source) if size != 1]
    right = [axis for axis, size in enumerate(target) if size != 1]
    groups: Groups = []
    while left:
        ins, outs = [left.pop(0)], [right.pop(0)]
        size_in, size_out = source[ins[0]], target[outs[0]]
        while size_in != size_out:
            if size_in < size_out:
                ins.append(left.pop(0))
                size_in *= source[ins[-1]]
            else:
                outs.append(right.pop(0))
                size_out *= target[outs[-1]]
        groups.append((tuple(ins), tuple(outs)))
    return groups


def carried(order: Perm, groups: Groups, source: Sequence[int], target: Sequence[int]) -> Perm | None:
    """The order of the result when a tensor stored in `order` is reshaped as it lies; None where that is wrong."""
    left = [axis for axis in order if source[axis] != 1]
    starting = {ins[0]: (ins, outs) for ins, outs in groups}
    result: list[int] = []
    while left:
        if left[0] not in starting:
            return None
        ins, outs = starting[left[0]]
        if tuple(left[: len(ins)]) != ins:
            return None
        result += outs
        left = left[len(ins) :]
    return _with_ones(result, target)


def _with_ones(places: Sequence[int], target: Sequence[int]) -> Perm:
    """Add the axes of size 1: where they make the order the natural or the plain one, else behind their neighbour."""
    plain = tuple(range(len(target)))
    for order in (natural_order(len(target)), plain):
        if [axis for axis in order if target[axis] != 1] == list(places):
            return order
    result = list(places)
    for axis, size in enumerate(target):
        if size == 1:
            result.insert(result.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(result)


def _demanded(groups: Groups, source: Sequence[int], target: Sequence[int]) -> tuple[Perm, Perm]:
    """The input's order to transpose to and the result's: channels last where the groups allow it, else plain."""
    natural = natural_order(len(target))
    by_output = {outs: ins for ins, outs in groups}
    wanted: list[int] = []
    left = [axis for axis in natural if target[axis] != 1]
    while left:
        outs = next((outs for outs in by_output if tuple(left[: len(outs)]) == outs), None)
        if outs is None:
            return tuple(range(len(source))), tuple(range(len(target)))
        wanted += by_output[outs]
        left = left[len(outs) :]
    return _with_ones(wanted, source), natural


def _write(layout: Layout, operator: Operator, order: Perm, result: Perm, reason: str) -> None:
    shape = layout.graph.tensors[operator.outputs[0]].shape
    x = layout.stored(operator.inputs[0], order, operator, reason)
    layout.write(operator, (x,), {"shape": tuple(shape[axis] for axis in result)}, result)


def _held(layout: Layout, name: str) -> list[Perm]:
    first = layout.order(name)
    return [first, *(order for order in layout.forms[name] if order != first)]


def _together(order: Perm, axes: tuple[int, ...]) -> bool:
    start = order.index(axes[0])
    return order[start : start + len(axes)] == axes


def _flattens(source: Sequence[int], target: Sequence[int]) -> bool:
    """Whether (n, ...) becomes (n, k)."""
    return len(source) > 2 and len(target) == 2 and target[0] == source[0]
