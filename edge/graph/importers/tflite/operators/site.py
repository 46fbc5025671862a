"""What a reader of one TFLite operator looks at, and what it makes of it.

A reader returns None when the file uses the operator in a way that the kind cannot say (a fused TANH, a computed
weight, a slice with an ellipsis): the operator then keeps its own name as kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.importers.tflite.parsing.file import FileOperator, FileTensor
from edge.graph.importers.tflite.parsing.schema import FUSED_ACTIVATIONS, names_of, schema
from edge.graph.ops.padding import same_pads


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A canonical operator.

    Attributes:
        inputs: positions among the file operator's inputs that stay inputs; the others became attributes.
        weight: how input 1 is stored: `ohwi`, `depthwise` (1, h, w, C) or `` (as it is).
        rows: the shape that the kernel gives to input 0 before it computes; None leaves it as it is.
    """

    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[int, ...] = (0,)
    weight: str = ""
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the graph's operators that an operator of the file is made of.

    Attributes:
        inputs: positions among the file operator's inputs; `~place` is what the part at that place made.
        output: which of the file operator's outputs it makes; None for a tensor of this `shape` between two parts, with
            the dtype and parameters of the part's first input.
    """

    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[int, ...]
    output: int | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spread:
    """An operator of the file as several of the graph's, in order; the last makes an output."""

    parts: tuple[Part, ...]


class Site:
    """One operator of the file with its tensors at hand."""

    def __init__(self, operator: FileOperator, tensors: Sequence[FileTensor]) -> None:
        self.operator = operator
        self.options = operator.options
        self.inputs = [tensors[index] if index >= 0 else None for index in operator.inputs]
        self.outputs = [tensors[index] for index in operator.outputs]
        self.output = self.outputs[0]

    @property
    def x(self) -> FileTensor:
        """The first input. Refuses (ValueError) an operator without one."""
        return self.input(0)

    def input(self, position: int) -> FileTensor:
        """An input that must be there. Refuses (ValueError) an operator without it."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            raise ValueError(f"{self.operator.code} has no input {position}")
        return tensor

    def integers(self, position: int) -> tuple[int, ...] | None:
        """A constant integer input as ints, or None when it is computed or absent."""
        data: npt.NDArray[Any] | None = self.input(position).data
        if data is None or not np.issubdtype(data.dtype, np.integer):
            return None
        return tuple(int(value) for value in data.reshape(-1))

    def activation(self) -> str | None:
        """The fused activation's canonical name, or None for one that has none (TANH, RELU_N1_TO_1)."""
        number = self.options.FusedActivationFunction() if self.options is not None else 0
        name = names_of(schema().ActivationFunctionType).get(number)
        return next((known for known, spelled in FUSED_ACTIVATIONS.items() if spelled == name), None)

    def pads(self, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int] = (1, 1)) -> Any:
        """Explicit pads of a window over the first input."""
        if min(*kernel, *strides, *dilations) < 1:
            raise ValueError(f"{self.operator.code} with window {kernel}, strides {strides}, dilations {dilations}")
        if self.options.Padding() == schema().Padding.VALID:
            return (0, 0, 0, 0)
        return same_pads(self.x.shape[1:3], kernel, strides, dilations)


def axis_of(axis: int, rank: int) -> int:
    """An axis made non-negative. Refuses (ValueError) one outside the rank."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor with {rank} axes")
    return axis % rank
