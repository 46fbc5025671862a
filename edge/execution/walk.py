"""Executing a graph step by step: which tensors are alive, and batches larger than the graph's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import UsageError
from edge.graph.analyses.batch_axis import batch_axis_user
from edge.graph.graph import Graph, Operator

Step = Callable[[Sequence[torch.Tensor | None]], torch.Tensor]


def as_inputs(
    graph: Graph, inputs: Sequence[npt.NDArray[Any]], *, channels_last: bool = False
) -> dict[str, torch.Tensor]:
    """Check arrays against the graph's inputs and hand them over as tensors.

    Args:
        channels_last: lay NCHW maps so in memory: convolutions take a fifth less time, float ones sum in another order.

    Raises:
        UsageError: wrong count, dtype or shape (axis 0 may be larger where the graph's is 1).
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
        value = torch.from_numpy(np.array(array))
        if channels_last and graph.layout == "nchw" and value.dim() == 4:
            value = value.contiguous(memory_format=torch.channels_last)
        given[name] = value
    return given


def constant_tensors(graph: Graph) -> dict[str, torch.Tensor]:
    """The constants that operators read, by name, in memory of their own."""
    names = {name for operator in graph.operators for name in operator.inputs if name}
    return {
        name: torch.from_numpy(np.array(tensor.data, order="C"))
        for name, tensor in graph.tensors.items()
        if name in names and tensor.data is not None
    }


def execute(
    graph: Graph,
    steps: Sequence[tuple[Operator, Step]],
    constants: Mapping[str, torch.Tensor],
    inputs: Mapping[str, torch.Tensor],
) -> Iterator[tuple[str, torch.Tensor]]:
    """Execute the steps and yield every activation by name as it is made, the graph's inputs first.

    A batch larger than the graph's goes through at once, or, where an operator works along axis 0, one sample after the
    other, and what each sample made is joined along axis 0.
    """
    batch = batch_of(graph, inputs)
    if batch == 1 or batch_axis_user(graph) is None:
        yield from walk(steps, constants, inputs)
        return
    whole = {name: value for name, value in inputs.items() if tuple(value.shape) == graph.tensors[name].shape}
    samples = [
        {**{name: value[index : index + 1] for name, value in inputs.items()}, **whole} for index in range(batch)
    ]
    for made in zip(*(walk(steps, constants, sample) for sample in samples), strict=True):
        yield made[0][0], _joined([value for _, value in made])


def batch_of(graph: Graph, inputs: Mapping[str, torch.Tensor]) -> int:
    """How many samples of the graph's own batch the inputs hold. Refuses (UsageError) inputs of unequal batches."""
    sizes = {value.shape[0] for name, value in inputs.items() if tuple(value.shape) != graph.tensors[name].shape}
    if len(sizes) > 1:
        raise UsageError(f"inputs with batches of {' and '.join(str(size) for size in sorted(sizes))}")
    return sizes.pop() if sizes else 1


def _joined(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(values)) if values[0].ndim else torch.stack(list(values))


def outputs_of(
    graph: Graph, inputs: Mapping[str, torch.Tensor], stream: Iterator[tuple[str, torch.Tensor]]
) -> list[npt.NDArray[Any]]:
    """The graph's outputs, in its order, from the stream of its activations; an output may be a constant.

    A constant comes once for every sample of a batch, joined along axis 0 as every other output is.
    """
    wanted = set(graph.outputs)
    kept = {name: value for name, value in stream if name in wanted}
    batch = batch_of(graph, inputs)
    for name in wanted - set(kept):
        value = torch.from_numpy(np.array(graph.constant(name), order="C"))
        kept[name] = value if batch == 1 else _joined([value] * batch)
    return [kept[name].contiguous().numpy() for name in graph.outputs]


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
