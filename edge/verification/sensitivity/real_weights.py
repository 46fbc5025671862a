"""The real numbers behind an integer graph's constants: the float parent's where these integers are their rounding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import broadcast_parameters, real_values

SHARE_WITHIN_ONE = 0.95
"""Share of a weight's values that must lie within one quantum of the parent's: rounding to nearest moves them by half a
quantum, rounding by least squares by one; training moves more, and clipping moves a few."""


@dataclass(frozen=True, kw_only=True)
class RealWeights:
    """The constants of a graph as real numbers.

    Attributes:
        values: name -> float32, for every quantized constant.
        from_parent: layers whose weights are the parent's. from_integers: layers whose weights are the integers' own
            values, so that the error of rounding them cannot be seen.
    """

    values: Mapping[str, npt.NDArray[np.float32]]
    from_parent: tuple[str, ...]
    from_integers: tuple[str, ...]


def real_weights(graph: Graph, parent: Graph | None) -> RealWeights:
    """Find the parent's constants by name, or by the name of the operator that reads them.

    Args:
        graph: integer, with parameters on its tensors. parent: float, in either layout; None if there is none.
    """
    values: dict[str, npt.NDArray[np.float32]] = {}
    from_parent: list[str] = []
    from_integers: list[str] = []
    others = {} if parent is None else {operator.name: operator for operator in parent.operators}
    for operator in graph.operators:
        constants = [
            (position, graph.tensors[name])
            for position, name in enumerate(operator.inputs)
            if name and graph.tensors[name].data is not None and graph.tensors[name].quantization is not None
        ]
        if not constants:
            continue
        found = None if parent is None else _found(constants, operator, parent, others)
        (from_integers if found is None else from_parent).append(operator.name)
        for position, tensor in constants:
            values[tensor.name] = real_values(tensor) if found is None else found[position]
    return RealWeights(values=values, from_parent=tuple(from_parent), from_integers=tuple(from_integers))


def _found(
    constants: list[tuple[int, Tensor]], operator: Operator, parent: Graph, others: Mapping[str, Operator]
) -> dict[int, npt.NDArray[np.float32]] | None:
    """The parent's constants of one operator by input position; None unless all are there and the weight fits."""
    twin = others.get(operator.name)
    found: dict[int, npt.NDArray[np.float32]] = {}
    for position, tensor in constants:
        names = [tensor.name]
        if twin is not None and position < len(twin.inputs):
            names.append(twin.inputs[position])
        data = next((parent.tensors[name].data for name in names if name in parent.tensors), None)
        if data is None:
            # A layer without a bias got one of zeros when it was quantized.
            if position == 0 or tensor.data is None or np.any(tensor.data):
                return None
            data = np.zeros(tensor.shape, np.float32)
        if data.size != np.prod(tensor.shape, dtype=np.int64) or data.dtype.kind != "f":
            return None
        found[position] = np.ascontiguousarray(data.reshape(tensor.shape), np.float32)
    first, weight = constants[0]
    return found if _is_rounding_of(weight, found[first]) else None


def _is_rounding_of(tensor: Tensor, real: npt.NDArray[np.float32]) -> bool:
    assert tensor.quantization is not None
    scale, _ = broadcast_parameters(tensor.quantization, tensor.shape)
    apart: npt.NDArray[Any] = np.abs(real_values(tensor) - real) / scale
    return bool((apart <= 1.0).mean() >= SHARE_WITHIN_ONE)
