"""What a graph costs, counted from the graph itself: multiply-adds, parameters, bytes of weights and of activations."""

from dataclasses import dataclass
from math import prod

import numpy as np

from edge.artifact.manifest import Cost
from edge.graph.analyses.cost import multiply_adds
from edge.graph.graph import Graph, Operator, Tensor

# Constants that are statistics, not trained values: mean and variance of a batch norm.
UNTRAINED_INPUTS = {"BatchNorm": (3, 4)}


@dataclass(frozen=True, kw_only=True)
class OperatorCost:
    """One operator's share.

    Attributes:
        multiply_adds: None when there is no rule for its kind.
        parameters, weights_bytes: of the constants that it is the first to read.
        activation_bytes: all activations alive while it runs, its inputs and outputs included.
        moved_bytes: its inputs, constants and outputs, each once.
    """

    name: str
    kind: str
    multiply_adds: int | None
    parameters: int
    weights_bytes: int
    activation_bytes: int
    moved_bytes: int

    @property
    def intensity(self) -> float | None:
        """Arithmetic intensity: multiply-adds per byte moved; None without a rule or without a byte."""
        return None if self.multiply_adds is None or not self.moved_bytes else self.multiply_adds / self.moved_bytes


@dataclass(frozen=True, kw_only=True)
class GraphCost:
    """A graph's totals, for the batch size that it stands for.

    Attributes:
        multiply_adds: over the operators that have a rule.
        parameters: trained values: real or quantized constants, each once; axes, shapes and the like are none.
        peak_activation_bytes: the largest sum of activations alive at one time, when each is freed after its last use.
        operators: in order.
        unruled: `KIND (name)` of every operator without a rule.
    """

    multiply_adds: int
    parameters: int
    weights_bytes: int
    peak_activation_bytes: int
    operators: tuple[OperatorCost, ...]
    unruled: tuple[str, ...]


def count_graph(graph: Graph) -> GraphCost:
    """Count a graph of either layout, ours or foreign. Rules: `edge.graph.analyses.cost`."""
    alive = _alive_bytes(graph)
    counted: set[str] = set()
    costs = []
    for operator, activation_bytes in zip(graph.operators, alive, strict=True):
        weights = [tensor for tensor in trained_constants(graph, operator) if tensor.name not in counted]
        counted.update(tensor.name for tensor in weights)
        costs.append(
            OperatorCost(
                name=operator.name,
                kind=operator.kind,
                multiply_adds=_multiply_adds(graph, operator),
                parameters=sum(prod(tensor.shape) for tensor in weights),
                weights_bytes=sum(tensor.size_bytes for tensor in weights),
                activation_bytes=activation_bytes,
                moved_bytes=_moved_bytes(graph, operator),
            )
        )
    return GraphCost(
        multiply_adds=sum(cost.multiply_adds or 0 for cost in costs),
        parameters=sum(cost.parameters for cost in costs),
        weights_bytes=sum(cost.weights_bytes for cost in costs),
        peak_activation_bytes=max(alive, default=0),
        operators=tuple(costs),
        unruled=tuple(f"{cost.kind} ({cost.name})" for cost in costs if cost.multiply_adds is None),
    )


def cost_of(graph: Graph) -> Cost:
    """The counts of a graph as a manifest and a record hold them."""
    counted = count_graph(graph)
    return Cost(
        multiply_adds=counted.multiply_adds,
        parameters=counted.parameters,
        weights_bytes=counted.weights_bytes,
        peak_activation_bytes=counted.peak_activation_bytes,
        unruled=tuple(sorted(set(counted.unruled))),
    )


def trained_constants(graph: Graph, operator: Operator) -> list[Tensor]:
    """An operator's constants that hold real numbers (float or quantized), each once, statistics omitted."""
    skipped = UNTRAINED_INPUTS.get(operator.kind, ())
    names = dict.fromkeys(name for position, name in enumerate(operator.inputs) if name and position not in skipped)
    tensors = [graph.tensors[name] for name in names]
    return [
        tensor
        for tensor in tensors
        if tensor.data is not None
        and (tensor.quantization is not None or np.issubdtype(np.dtype(tensor.dtype), np.floating))
    ]


def _multiply_adds(graph: Graph, operator: Operator) -> int | None:
    if not operator.outputs:
        return None
    if operator.kind == "ReduceSum" and _is_product(graph, operator.inputs[0]):
        return prod(graph.tensors[operator.inputs[0]].shape)
    inputs = [graph.tensors[name].shape if name else () for name in operator.inputs]
    output = graph.tensors[operator.outputs[0]].shape
    return multiply_adds(operator.kind, inputs, output, group=int(operator.attributes.get("group", 1)))


def _is_product(graph: Graph, name: str) -> bool:
    """Whether a tensor is a product of two maps that is only summed up: a MatMul written out, such as an involution."""
    producer = graph.producer(name)
    if producer is None or producer.kind != "Mul" or len(graph.consumers(name)) != 1:
        return False
    return all(graph.tensors[operand].data is None for operand in producer.inputs)


def _moved_bytes(graph: Graph, operator: Operator) -> int:
    names = dict.fromkeys(name for name in (*operator.inputs, *operator.outputs) if name)
    return sum(graph.tensors[name].size_bytes for name in names)


def _alive_bytes(graph: Graph) -> list[int]:
    """Bytes of all activations alive while each operator runs: from the one that makes it to the last that reads it."""
    count = len(graph.operators)
    if not count:
        return []
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.inputs, 0)
    for index, operator in enumerate(graph.operators):
        for name in operator.outputs:
            first[name] = last[name] = index
        for name in operator.inputs:
            if name in first:
                last[name] = index
    for name in graph.outputs:
        if name in first:
            last[name] = count - 1
    change = [0] * (count + 1)
    for name, made in first.items():
        size_bytes = graph.tensors[name].size_bytes
        change[made] += size_bytes
        change[last[name] + 1] -= size_bytes
    return [int(total) for total in np.cumsum(np.array(change[:count], np.int64))]
