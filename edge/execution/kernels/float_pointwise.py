"""Float32 operators without weights: clips, softmax, pad."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from edge.execution.kernels.affine import Kernel, given
from edge.graph.graph import Graph, Operator


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
