"""Executing a graph step by step: which tensors are alive, and batches larger than the graph's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import UsageError
from edge.graph.batch_axis import batch_axis_user
from edge.graph.graph import Graph, Operator

Step = Callable[[Sequence[torch.Tensor | None]], torch.Tensor]


def as_inputs(graph: Graph, inputs: Sequence[npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Check arrays against the graph's inputs and hand them over as tensors.

    Raises:
        UsageError: wrong count, dtype or shape (axis 0 may be larger where the graph's is 1 and no operator uses it).
    """
    if len(inputs) != len(graph.inputs):
        raise UsageError(f"graph '{graph.name}' has {len(graph.inputs)} inputs, {len(inputs)} were given")
    given: dict[str, torch.Tensor] = {}
    for name, array in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensors[name]
        if array.dtype.name != tensor.dtype:
            raise UsageError(f"input '{name}' is {tensor.dtype}, an array of {array.dtype.name} was given")
        if array.shape != tensor.shape:
            stackable = len(tensor.shape) > 0 and tensor.shape[0] == 1 and array.shape[1:] == tensor.shape[1:]
            if not stackable or array.shape[0] == 0:
                raise UsageError(f"input '{name}' has shape {tensor.shape}, an array of {array.shape} was given")
            if (user := batch_axis_user(graph)) is not None:
                raise UsageError(f"a batch of {array.shape[0]}: {user.kind} '{user.name}' works along axis 0; give one")
        given[name] = torch.from_numpy(np.array(array))
    return given


def constant_tensors(graph: Graph) -> dict[str, torch.Tensor]:
    """The constants that operators read, by name, in memory of their own."""
    names = {name for operator in graph.operators for name in operator.inputs if name}
    return {
        name: torch.from_numpy(np.array(tensor.data, order="C"))
        for name, tensor in graph.tensors.items()
        if name in names and tensor.data is not None
    }


def walk(
    steps: Sequence[tuple[Operator, Step]], constants: Mapping[str, torch.Tensor], inputs: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Execute the steps in order and yield every activation by name as it is made, the graph's inputs first.

    A tensor is dropped after its last use, so what the caller does not keep is not held.
    """
    last = {name: index for index, (operator, _) in enumerate(steps) for name in operator.inputs}
    alive: dict[str, torch.Tensor] = dict(inputs)
    yield from inputs.items()
    for index, (operator, step) in enumerate(steps):
        with torch.no_grad():
            result = step(
                [(alive[name] if name in alive else constants[name]) if name else None for name in operator.inputs]
            )
        output = operator.outputs[0]
        for name in set(operator.inputs):
            if name in alive and last[name] == index:
                del alive[name]
        if output in last:
            alive[output] = result
        yield output, result
