"""The memory that LiteRT plans for a TFLite file's activations: where each lies, and how much they need together.

The plan is that of its arena (the greedy by size of Pisarchyk and Lee, arXiv 2001.03288, section 5, with the best
fitting gap): the largest tensor first, each into the smallest gap between those already placed that live while it does.
The inputs of a model live to its end, for a caller may read them again. A dense convolution of more than one place, or
with strides, needs its patches spread out beside its input (im2col). An addition writes over an operand that nobody
else reads, a reshape lies where its input does. What other kernels need, and copies of weights, is not planned here; a
delegate such as XNNPACK plans memory of its own.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from edge.graph.graph import Graph, Operator

ALIGNMENT_BYTES = 64
IN_PLACE = ("Add", "Reshape")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A tensor in the arena: bytes from its start, and the operators from which to which it is needed."""

    offset: int
    size_bytes: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """The byte behind it."""
        return self.offset + self.size_bytes


def arena_bytes(graph: Graph) -> int:
    """Bytes from the start of the first to the end of the last activation."""
    return max((placed.end for placed in arena_plan(graph).values()), default=0)


def arena_plan(graph: Graph) -> Mapping[str, Placed]:
    """Where every activation lies, and the patches of every convolution that spreads them out (`NAME, patches`)."""
    lifetimes = _lifetimes(graph)
    sizes = {name: graph.tensors[name].size_bytes for name in lifetimes}
    for place, operator in enumerate(graph.operators):
        patches = _patches_bytes(graph, operator)
        if patches:
            name = f"{operator.name}, patches"
            lifetimes[name], sizes[name] = (place, place), patches
    shared = _shared(graph, lifetimes, sizes)
    for name, owner in shared.items():
        first, last = lifetimes.pop(name)
        lifetimes[owner] = (min(first, lifetimes[owner][0]), max(last, lifetimes[owner][1]))
    last = max(len(graph.operators) - 1, 0)
    whole = [name for name, lifetime in lifetimes.items() if lifetime == (0, last)]
    rest = [name for name in lifetimes if name not in set(whole)]
    rest.sort(key=lambda name: (-sizes[name], lifetimes[name][0]))
    plan: dict[str, Placed] = {}
    for name in (*whole, *rest):
        if sizes[name]:
            first, end = lifetimes[name]
            offset = _gap(plan, sizes[name], first, end)
            plan[name] = Placed(offset=offset, size_bytes=sizes[name], first=first, last=end)
    return {**plan, **{name: plan[owner] for name, owner in shared.items() if owner in plan}}


def _shared(graph: Graph, lifetimes: Mapping[str, tuple[int, int]], sizes: Mapping[str, int]) -> dict[str, str]:
    """Outputs that lie where an input lies, and the tensor that was there first."""
    found: dict[str, str] = {}
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    for place, operator in enumerate(graph.operators):
        if operator.kind not in IN_PLACE:
            continue
        output = operator.outputs[0]
        for name in operator.inputs:
            if name not in lifetimes or name in graph.inputs or name in graph.outputs or output in graph.outputs:
                continue
            alone = operator.kind == "Reshape" or readers[name] == 1
            if alone and lifetimes[name][1] == place and sizes[name] == sizes[output]:
                found[output] = found.get(name, name)
                break
    return found


def _gap(plan: Mapping[str, Placed], size_bytes: int, first: int, last: int) -> int:
    """The start of the smallest gap that holds so many bytes, else behind everything that lives meanwhile."""
    beside = sorted(
        (placed for placed in plan.values() if placed.first <= last and first <= placed.last),
        key=lambda placed: placed.offset,
    )
    end, best, best_size = 0, None, 0
    for placed in beside:
        start = _aligned(end)
        if start + size_bytes <= placed.offset and (best is None or placed.offset - end < best_size):
            best, best_size = start, placed.offset - end
        end = max(end, placed.end)
    return _aligned(end) if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _lifetimes(graph: Graph) -> dict[str, tuple[int, int]]:
    """First and last operator that needs each activation; inputs and outputs of the graph are needed to its end."""
    end = max(len(graph.operators) - 1, 0)
    found = dict.fromkeys(graph.inputs, (0, end))
    for place, operator in enumerate(graph.operators):
        for name in operator.inputs:
            if name in found and graph.tensors[name].data is None:
                found[name] = (found[name][0], max(found[name][1], place))
        for name in operator.outputs:
            found[name] = (place, place)
    for name in graph.outputs:
        if name in found:
            found[name] = (found[name][0], end)
    return found


def _patches_bytes(graph: Graph, operator: Operator) -> int:
    if operator.kind != "Conv":
        return 0
    source, weight = graph.tensors[operator.inputs[0]], graph.tensors[operator.inputs[1]]
    depthwise = weight.shape[1] == 1 and operator.attributes["group"] == weight.shape[0]
    plain = weight.shape[2:] == (1, 1) and tuple(operator.attributes["strides"]) == (1, 1)
    if depthwise or plain:
        return 0
    places = prod(graph.tensors[operator.outputs[0]].shape[:-1])
    return places * prod(weight.shape[1:]) * int(operator.attributes["group"]) * np.dtype(source.dtype).itemsize
