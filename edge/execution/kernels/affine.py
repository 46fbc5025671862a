"""Quantization parameters as the kernels read them, and the kernel type that every family builds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization

# A kernel takes the operator's inputs in order (None where an optional one is absent) and returns its one output.
Kernel = Callable[[Sequence[torch.Tensor | None]], torch.Tensor]
Builder = Callable[[Graph, Operator], Kernel]

TORCH_DTYPES = {
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
    "float16": torch.float16,
    "float64": torch.float64,
    "bool": torch.bool,
}

ACTIVATION_LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-(1 << 15), (1 << 15) - 1)}


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Per-tensor parameters of an 8- or 16-bit activation: real = scale * (q - zero_point), q in [low, high]."""

    scale: np.float32
    zero_point: int
    low: int
    high: int
    dtype: torch.dtype

    @property
    def largest_magnitude(self) -> int:
        """The largest |q - zero_point| that the type can hold."""
        return max(self.high - self.zero_point, self.zero_point - self.low)

    def quantized(self, real: float) -> int:
        """A real bound on the grid: rint(float32(real / scale) + zero_point), ties to even, clamped to the type."""
        value = np.float32(real) / self.scale + np.float32(self.zero_point)
        return int(np.rint(np.clip(value, np.float32(self.low), np.float32(self.high))))

    def same_as(self, other: "Affine") -> bool:
        """Tell whether scale (bit for bit), zero point and type are equal."""
        return self == other


def refuse(operator: Operator, problem: str) -> UnsupportedError:
    """The error for an operator that the simulation cannot execute; names the kind and the node."""
    return UnsupportedError(f"integer simulation: {operator.kind} '{operator.name}': {problem}")


def affine(graph: Graph, operator: Operator, name: str) -> Affine:
    """Parameters of an activation.

    Refuses (UnsupportedError) one that is not 8- or 16-bit, not per tensor, or int16 with a zero point other than 0.
    """
    tensor = graph.tensors[name]
    quantization = tensor.quantization
    if quantization is None or tensor.dtype not in ACTIVATION_LIMITS:
        raise refuse(operator, f"'{name}' is {tensor.dtype} without 8-bit quantization; only integer graphs run here")
    if quantization.scale.size != 1:
        raise refuse(operator, f"'{name}' has {quantization.scale.size} scales; activations have one")
    if tensor.dtype == "int16" and quantization.zero_point.any():
        raise refuse(operator, f"'{name}' is int16 with zero point {quantization.zero_point[0]}; kernels take 0 only")
    low, high = ACTIVATION_LIMITS[tensor.dtype]
    return Affine(
        scale=quantization.scale[0],
        zero_point=int(quantization.zero_point[0]),
        low=low,
        high=high,
        dtype=TORCH_DTYPES[tensor.dtype],
    )


def weight_quantization(graph: Graph, operator: Operator, name: str) -> Quantization:
    """Parameters of an 8-bit weight, per tensor or along axis 0. Refuses (UnsupportedError) anything else."""
    tensor = graph.tensors[name]
    quantization = tensor.quantization
    if tensor.data is None or quantization is None or tensor.dtype not in ("int8", "uint8"):
        raise refuse(operator, f"weight '{name}' is not an 8-bit constant")
    if quantization.scale.size > 1 and (quantization.axis != 0 or quantization.scale.size != tensor.shape[0]):
        raise refuse(operator, f"weight '{name}' is quantized along axis {quantization.axis}, not along its outputs")
    return quantization


def tied(graph: Graph, operator: Operator, names: Sequence[str]) -> Affine:
    """The one parameter set that these tensors share. Refuses (UnsupportedError) tensors whose parameters differ."""
    parameters = [affine(graph, operator, name) for name in names]
    for name, other in zip(names[1:], parameters[1:], strict=True):
        if not other.same_as(parameters[0]):
            raise refuse(operator, f"'{name}' and '{names[0]}' must have the same scale and zero point")
    return parameters[0]


def activation_range(output: Affine, activation: str) -> tuple[int, int]:
    """The integers that a fused activation lets through, as XNNPACK quantizes its bounds."""
    if activation == "relu":
        return output.quantized(0.0), output.high
    if activation == "relu6":
        return output.quantized(0.0), output.quantized(6.0)
    return output.low, output.high


def constant(graph: Graph, name: str) -> torch.Tensor:
    """A constant as a tensor that owns its memory."""
    return torch.from_numpy(np.array(graph.constant(name)))


def given(values: Sequence[torch.Tensor | None], index: int) -> torch.Tensor:
    """An input that must be there."""
    value = values[index]
    assert value is not None
    return value


def channels_first(graph: Graph, value: torch.Tensor) -> torch.Tensor:
    """A view in NCHW of a rank 4 activation in the graph's layout."""
    return value.permute(0, 3, 1, 2) if graph.layout == "nhwc" and value.dim() == 4 else value


def graph_layout(graph: Graph, value: torch.Tensor) -> torch.Tensor:
    """The inverse view of `channels_first`."""
    return value.permute(0, 2, 3, 1) if graph.layout == "nhwc" and value.dim() == 4 else value


def pair(operator: Operator, key: str) -> tuple[int, int]:
    """An attribute that is two integers (height, width)."""
    first, second = operator.attributes[key]
    return int(first), int(second)


def pads(operator: Operator) -> tuple[int, int, int, int]:
    """The explicit padding (top, left, bottom, right)."""
    top, left, bottom, right = operator.attributes["pads"]
    return int(top), int(left), int(bottom), int(right)


def as_float32(values: Any) -> torch.Tensor:
    """A float32 tensor of some numpy values."""
    return torch.from_numpy(np.array(values, dtype=np.float32))
