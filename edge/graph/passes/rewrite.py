"""Making a changed graph: a new operator list over the same tensors, without what nothing reads any more."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.port import dequantize


def rebuild(
    graph: Graph,
    operators: Iterable[Operator],
    tensors: Mapping[str, Tensor] | None = None,
    *,
    inputs: tuple[str, ...] | None = None,
    outputs: tuple[str, ...] | None = None,
) -> Graph:
    """Give the graph these operators, less those whose results reach no output, and only the tensors that they name.

    Args:
        operators: in topological order.
        tensors: all tensors, if they changed; more than needed is fine.
        inputs, outputs: the signature, if it changed.
    """
    tensors = graph.tensors if tensors is None else tensors
    inputs = graph.inputs if inputs is None else inputs
    outputs = graph.outputs if outputs is None else outputs
    needed = set(outputs)
    kept: list[Operator] = []
    for operator in reversed(list(operators)):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(name for name in operator.inputs if name)
            needed.update(operator.outputs)
    kept.reverse()
    needed.update(inputs)
    return replace(
        graph,
        operators=tuple(kept),
        tensors={name: tensor for name, tensor in tensors.items() if name in needed},
        inputs=inputs,
        outputs=outputs,
    )


def renamed_inputs(operator: Operator, names: Mapping[str, str]) -> Operator:
    """The operator with its inputs replaced where `names` says so."""
    return replace(operator, inputs=tuple(names.get(name, name) for name in operator.inputs))


def fresh_name(base: str, taken: Iterable[str]) -> str:
    """`base`, or `base_2`, `base_3`, ... if it is taken."""
    used = set(taken)
    name, count = base, 1
    while name in used:
        count += 1
        name = f"{base}_{count}"
    return name


def real_values(tensor: Tensor) -> npt.NDArray[np.float32]:
    """The real numbers that a constant stands for: float32, of its shape.

    Refuses (AttributeError) no constant: callers ask for constants only.
    """
    assert tensor.data is not None
    if tensor.quantization is None:
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite there
            return tensor.data.astype(np.float32)
    return dequantize(tensor.data, *broadcast_parameters(tensor.quantization, tensor.shape))


def broadcast_parameters(
    quantization: Quantization, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Scale and zero point shaped to broadcast against an array of this shape."""
    if quantization.axis is None:
        return quantization.scale.reshape(()), quantization.zero_point.reshape(())
    form = [1] * len(shape)
    form[quantization.axis] = quantization.scale.size
    return quantization.scale.reshape(form), quantization.zero_point.reshape(form)


def constant_like(
    tensor: Tensor, name: str, data: npt.NDArray[Any], quantization: Quantization | None = None
) -> Tensor:
    """A constant with this data; without `quantization` it keeps the tensor's own."""
    kept = tensor.quantization if quantization is None else quantization
    data = np.asarray(data, order="C")
    return Tensor(name=name, shape=data.shape, dtype=data.dtype.name, data=data, quantization=kept)
