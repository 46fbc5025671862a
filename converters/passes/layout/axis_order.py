"""Tensors on their way from NCHW to NHWC: in which orders each one is stored, and the operators so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name

Perm = tuple[int, ...]
TO_NHWC: Perm = (0, 2, 3, 1)


@dataclass(frozen=True, kw_only=True)
class NeededTranspose:
    """A Transpose that `to_nhwc` had to insert: the operator that needs it and why."""

    operator: str
    tensor: str
    reason: str


@dataclass(kw_only=True)
class Layout:
    """The NHWC graph so far.

    Attributes:
        forms: NCHW tensor name -> {order of its stored axes: name of the tensor stored so}. Order p means that stored
            axis i is axis p[i] of the NCHW tensor. One tensor may be stored in several orders.
        reasons: name of every Transpose added -> who needs it and why.
        columns: rank-2 tensor -> the column that each stored column is; absent where they are in order.
    """

    graph: Graph
    tensors: dict[str, Tensor]
    forms: dict[str, dict[Perm, str]] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    reasons: dict[str, NeededTranspose] = field(default_factory=dict)
    columns: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def rank(self, name: str) -> int:
        """Rank of a tensor."""
        return len(self.graph.tensors[name].shape)

    def order(self, name: str) -> Perm:
        """The order that an activation is stored in already: NHWC if it is among several."""
        forms = self.forms[name]
        natural = natural_order(self.rank(name))
        return natural if natural in forms else next(iter(forms))

    def stored(self, name: str, order: Perm, operator: Operator, reason: str) -> str:
        """Name of the activation stored in this order; if it is not yet, a Transpose or a Reshape is added."""
        forms = self.forms[name]
        if order in forms:
            return forms[order]
        given = self._nearest(name, order)
        source = self.tensors[forms[given]]
        perm = tuple(given.index(axis) for axis in order)
        shape = tuple(source.shape[axis] for axis in perm)
        target = self.fresh_name(f"{name}/{'nhwc' if order == natural_order(len(order)) else 'transposed'}")
        self.tensors[target] = replace(source, name=target, shape=shape)
        if is_reshape(perm, source.shape):
            self.append_move("Reshape", f"{target}/layout", source.name, target, {"shape": shape})
        else:
            self.append_move("Transpose", f"{target}/layout", source.name, target, {"perm": perm})
            self.reasons[f"{target}/layout"] = NeededTranspose(operator=operator.name, tensor=name, reason=reason)
        forms[order] = target
        return target

    def fresh_name(self, base: str) -> str:
        """A name that no stored tensor has, nor any that is still to come."""
        return fresh_name(base, self.tensors.keys() | self.graph.tensors.keys())

    def _nearest(self, name: str, order: Perm) -> Perm:
        """The held order to start from: one that only a Reshape separates from the wanted one, if there is one."""
        shape = self.graph.tensors[name].shape
        wanted = [axis for axis in order if shape[axis] != 1]
        same = [held for held in self.forms[name] if [axis for axis in held if shape[axis] != 1] == wanted]
        return same[0] if same else self.order(name)

    def append_move(self, kind: str, name: str, source: str, target: str, attributes: Mapping[str, Any]) -> None:
        """Add a Reshape or Transpose between stored tensors."""
        self.operators.append(
            Operator(kind=kind, name=name, inputs=(source,), outputs=(target,), attributes=attributes, source=kind)
        )

    def moved_values(self, name: str, order: Perm) -> int:
        """How many values a Transpose would move to have the activation in this order: 0 where it is held so."""
        forms = self.forms[name]
        shape = self.graph.tensors[name].shape
        if any([axis for axis in held if shape[axis] != 1] == [a for a in order if shape[a] != 1] for held in forms):
            return 0
        return prod(shape)

    def reordered_columns(self, name: str, columns: npt.NDArray[np.int64]) -> str:
        """A constant whose last axis is in the stored order of a flattened tensor; one value stays one value."""
        tensor = self.tensors[name]
        assert tensor.data is not None
        if not tensor.shape or tensor.shape[-1] == 1:
            return name
        target = self.fresh_name(f"{name}/nhwc")
        data = np.asarray(np.take(tensor.data, columns, axis=-1), order="C")
        quantization = tensor.quantization
        if quantization is not None and quantization.axis == tensor.data.ndim - 1:
            quantization = Quantization(
                scale=quantization.scale[columns], zero_point=quantization.zero_point[columns], axis=quantization.axis
            )
        self.tensors[target] = replace(tensor, name=target, data=data, quantization=quantization)
        return target

    def rename(self, old: str, new: str) -> None:
        """Give a stored tensor another name, everywhere."""
        self.tensors[new] = replace(self.tensors.pop(old), name=new)
        self.operators = [
            replace(
                operator,
                inputs=tuple(new if name == old else name for name in operator.inputs),
                outputs=tuple(new if name == old else name for name in operator.outputs),
            )
            for operator in self.operators
        ]
        for forms in self.forms.values():
            for order, held in forms.items():
                forms[order] = new if held == old else held

    def declare(self, name: str, order: Perm) -> str:
        """Make an output tensor stored in this order, under its own name."""
        tensor = self.graph.tensors[name]
        self.tensors[name] = replace(tensor, shape=tuple(tensor.shape[axis] for axis in order))
        self.forms[name] = {order: name}
        return name

    def write(self, operator: Operator, inputs: Sequence[str], attributes: Mapping[str, Any], order: Perm) -> None:
        """Add an operator whose one output is stored in this order."""
        output = self.declare(operator.outputs[0], order)
        self.operators.append(replace(operator, inputs=tuple(inputs), outputs=(output,), attributes=attributes))

    def constant(self, name: str, order: Perm) -> str:
        """A constant operand of lower or equal rank, stored in this order of the other operand's axes."""
        tensor = self.graph.tensors[name]
        if tensor.data is None or not tensor.shape or order == tuple(range(len(order))):
            return name
        missing = len(order) - len(tensor.shape)
        data = tensor.data.reshape((1,) * missing + tensor.shape).transpose(order)
        quantization = tensor.quantization
        if quantization is not None and quantization.axis is not None:
            axis = order.index(quantization.axis + missing)
            quantization = Quantization(scale=quantization.scale, zero_point=quantization.zero_point, axis=axis)
        target = self.fresh_name(f"{name}/nhwc")
        self.tensors[target] = Tensor(
            name=target,
            shape=data.shape,
            dtype=tensor.dtype,
            data=np.asarray(data, order="C"),
            quantization=quantization,
        )
        return target


def natural_order(rank: int) -> Perm:
    """NHWC for rank 4, otherwise the order of the NCHW graph."""
    return TO_NHWC if rank == 4 else tuple(range(rank))


def is_reshape(perm: Perm, shape: Sequence[int]) -> bool:
    """Whether transposing this shape moves no value: the axes longer than one keep their order."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)
