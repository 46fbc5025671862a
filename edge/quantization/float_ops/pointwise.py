"""Float32 operators without weights: arithmetic, activations, softmax, moves."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch.nn import functional

from edge.graph.graph import Graph, Operator
from edge.quantization.float_ops.layers import activated
from edge.quantization.integer_ops.affine import Kernel, given

UNARY: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "Relu": functional.relu,
        "Relu6": functional.relu6,
        "Sigmoid": torch.sigmoid,
        "Tanh": torch.tanh,
        "HardSwish": functional.hardswish,
    }
)
BINARY: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = MappingProxyType(
    {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul}
)


def unary(graph: Graph, operator: Operator) -> Kernel:
    """A function of one value."""
    function = UNARY[operator.kind]
    return lambda values: function(given(values, 0))


def binary(graph: Graph, operator: Operator) -> Kernel:
    """Arithmetic of two values, with numpy broadcasting."""
    function = BINARY[operator.kind]
    return lambda values: activated(operator, function(given(values, 0), given(values, 1)))


def clip(graph: Graph, operator: Operator) -> Kernel:
    """Clip; None is no bound."""
    minimum, maximum = operator.attributes["min"], operator.attributes["max"]
    low = -np.inf if minimum is None else float(minimum)
    high = np.inf if maximum is None else float(maximum)
    return lambda values: given(values, 0).clamp(low, high)


def hard_sigmoid(graph: Graph, operator: Operator) -> Kernel:
    """min(max(alpha * x + beta, 0), 1)."""
    alpha, beta = float(operator.attributes["alpha"]), float(operator.attributes["beta"])
    return lambda values: (given(values, 0) * alpha + beta).clamp(0, 1)


def softmax(graph: Graph, operator: Operator) -> Kernel:
    """Softmax over an axis."""
    axis = int(operator.attributes["axis"])
    return lambda values: torch.softmax(given(values, 0), dim=axis)


def pad(graph: Graph, operator: Operator) -> Kernel:
    """Pad with a constant."""
    flat = [amount for axis in reversed(operator.attributes["pads"]) for amount in axis]
    value = float(operator.attributes["value"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        return functional.pad(given(values, 0), flat, value=value)

    return kernel
