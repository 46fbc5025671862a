"""Float32 functions of one value, norms along an axis, and reductions."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch.nn import functional

from edge.execution.kernels.affine import Kernel, given
from edge.execution.kernels.float_layers import activated
from edge.graph.graph import Graph, Operator

UNARY: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "Relu": functional.relu,
        "Relu6": functional.relu6,
        "Sigmoid": torch.sigmoid,
        "Tanh": torch.tanh,
        "HardSwish": functional.hardswish,
        "Abs": torch.abs,
        "Neg": torch.neg,
        "Sqrt": torch.sqrt,
        "Rsqrt": torch.rsqrt,
        "Exp": torch.exp,
        "Log": torch.log,
        "Floor": torch.floor,
        "Ceil": torch.ceil,
        "Round": torch.round,  # half to even, as ONNX and TFLite do
        "Sin": torch.sin,
        "Cos": torch.cos,
    }
)
BINARY: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = MappingProxyType(
    {
        "Add": torch.add,
        "Sub": torch.sub,
        "Mul": torch.mul,
        "Div": torch.div,
        "Min": torch.minimum,
        "Max": torch.maximum,
        "Pow": torch.pow,
    }
)
REDUCTIONS: Mapping[str, Callable[..., torch.Tensor]] = MappingProxyType(
    {"Mean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin}
)


def unary(graph: Graph, operator: Operator) -> Kernel:
    """A function of one value without attributes."""
    function = UNARY[operator.kind]
    return lambda values: function(given(values, 0))


def binary(graph: Graph, operator: Operator) -> Kernel:
    """Arithmetic of two values, with numpy broadcasting."""
    function = BINARY[operator.kind]
    fused = "activation" in operator.attributes

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        result = function(given(values, 0), given(values, 1))
        return activated(operator, result) if fused else result

    return kernel


def leaky_relu(graph: Graph, operator: Operator) -> Kernel:
    """x, or alpha * x below 0."""
    alpha = float(operator.attributes["alpha"])
    return lambda values: functional.leaky_relu(given(values, 0), alpha)


def p_relu(graph: Graph, operator: Operator) -> Kernel:
    """x, or slope * x below 0."""

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0)
        return torch.where(value < 0, value * given(values, 1), value)

    return kernel


def elu(graph: Graph, operator: Operator) -> Kernel:
    """x, or alpha * (exp(x) - 1) below 0."""
    alpha = float(operator.attributes["alpha"])
    return lambda values: functional.elu(given(values, 0), alpha)


def gelu(graph: Graph, operator: Operator) -> Kernel:
    """x times the normal distribution function of x, by erf or by tanh."""
    approximate = "tanh" if operator.attributes["approximate"] else "none"
    return lambda values: functional.gelu(given(values, 0), approximate=approximate)


def reduction(graph: Graph, operator: Operator) -> Kernel:
    """Mean, ReduceSum, ReduceMax, ReduceMin over some axes."""
    function = REDUCTIONS[operator.kind]
    axes, keepdims = tuple(operator.attributes["axes"]), bool(operator.attributes["keepdims"])
    return lambda values: function(given(values, 0), dim=axes, keepdim=keepdims)


def log_softmax(graph: Graph, operator: Operator) -> Kernel:
    """LogSoftmax over an axis."""
    axis = int(operator.attributes["axis"])
    return lambda values: torch.log_softmax(given(values, 0), dim=axis)


def l2_norm(graph: Graph, operator: Operator) -> Kernel:
    """x / sqrt(max(sum of squares along the axis, epsilon))."""
    axis, epsilon = int(operator.attributes["axis"]), float(operator.attributes["epsilon"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0)
        return value / value.square().sum(dim=axis, keepdim=True).clamp(min=epsilon).sqrt()

    return kernel
