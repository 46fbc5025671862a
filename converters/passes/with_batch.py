"""A graph of batch 1 as the same graph of batch N."""

from dataclasses import replace
from typing import Any

from edge.errors import UsageError
from edge.graph.analyses.batch_axis import batch_axis_user
from edge.graph.graph import Graph, Operator, Tensor

# Attributes that say a size or a limit of axis 0.
SIZES = ("shape", "end")


def with_batch(graph: Graph, batch: int) -> Graph:
    """Make axis 0 of every activation `batch` long.

    Requires: an NCHW graph.
    Ensures: sample i of every output is what the graph gives for sample i of every input. Names, constants and
    parameters are unchanged.

    Raises:
        UsageError: a batch below 1, an input whose axis 0 is not 1, or an operator that mixes axis 0, by name.
    """
    if batch < 1:
        raise UsageError(f"a batch of {batch}; at least 1 is needed")
    given = {name: graph.tensors[name].shape[:1] for name in graph.inputs}
    fixed = next((name for name, first in given.items() if first != (1,)), None)
    if all(first == (batch,) for first in given.values()):
        return graph
    if fixed is not None:
        shape = "x".join(str(size) for size in graph.tensors[fixed].shape) or "a scalar"
        raise UsageError(
            f"a batch of {batch}: input '{fixed}' is {shape}; export the model with batch 1 or an open one"
        )
    user = batch_axis_user(graph)
    if user is not None:
        raise UsageError(f"a batch of {batch}: {user.kind} '{user.name}' works along axis 0")
    made = {*graph.inputs, *(name for operator in graph.operators for name in operator.outputs)}
    tensors = {name: _batched(t, batch) if name in made else t for name, t in graph.tensors.items()}
    return replace(graph, operators=tuple(_of_batch(op, batch) for op in graph.operators), tensors=tensors)


def _batched(tensor: Tensor, batch: int) -> Tensor:
    if tensor.shape[:1] != (1,):
        raise UsageError(f"a batch of {batch}: '{tensor.name}' of shape {tensor.shape} has no batch axis")
    return replace(tensor, shape=(batch, *tensor.shape[1:]))


def _of_batch(operator: Operator, batch: int) -> Operator:
    attributes: dict[str, Any] = dict(operator.attributes)
    for key in SIZES:
        if key in attributes:
            attributes[key] = (batch, *attributes[key][1:])
    return replace(operator, attributes=attributes)
