"""Functions of one value: those that have a kind, and those that are put together from kinds that have."""

from typing import Any

import numpy as np

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.arithmetic import attributes_of, scalar
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.draft import Draft, Node, NotCanonical
from edge.graph.passes.rewrite import real_values

PLAIN = {"activation": "none"}


def unary(draft: Draft, node: Node) -> None:
    """Relu, Sigmoid, Tanh, HardSwish, Abs, Neg, Sqrt, Exp, Log, Floor, Ceil, Round, Sin, Cos over floats."""
    draft.emit(node.kind, node, (_real(draft, node).name,), {})


def leaky_relu(draft: Draft, node: Node) -> None:
    """LeakyRelu; ONNX's default slope is 0.01."""
    x = _real(draft, node)
    draft.emit("LeakyRelu", node, (x.name,), {"alpha": _float(node, "alpha", 0.01)})


def p_relu(draft: Draft, node: Node) -> None:
    """PRelu with a constant slope; one slope for all channels is a LeakyRelu."""
    x, slope = _real(draft, node), draft.required_constant(node.input(1))
    if slope.data is not None and slope.data.size == 1:
        draft.emit("LeakyRelu", node, (x.name,), {"alpha": float(real_values(slope).reshape(()))})
        return
    draft.emit("PRelu", node, (x.name, slope.name), {})


def elu(draft: Draft, node: Node) -> None:
    """Elu: with another slope than 1 as Relu(x) + alpha * Elu(Min(x, 0))."""
    x, alpha = _real(draft, node), _float(node, "alpha", 1.0)
    if alpha == 1:
        draft.emit("Elu", node, (x.name,), {"alpha": 1.0})
    else:
        draft.emit("Add", node, _two_sided(draft, node, x, 1.0, alpha), PLAIN)


def selu(draft: Draft, node: Node) -> None:
    """Selu: gamma * (Relu(x) + alpha * Elu(Min(x, 0)))."""
    x = _real(draft, node)
    alpha, gamma = _float(node, "alpha", 1.67326319217681884765625), _float(node, "gamma", 1.05070102214813232421875)
    draft.emit("Add", node, _two_sided(draft, node, x, gamma, alpha * gamma), PLAIN)


def celu(draft: Draft, node: Node) -> None:
    """Celu: alpha * Elu(x / alpha)."""
    x, alpha = _real(draft, node), _float(node, "alpha", 1.0)
    if not alpha > 0:
        raise NotCanonical("alpha is not positive")
    scaled = draft.step("Mul", node, (x.name, scalar(draft, node, 1 / alpha)), PLAIN, x.shape)
    curved = draft.step("Elu", node, (scaled,), {"alpha": 1.0}, x.shape)
    draft.emit("Mul", node, (curved, scalar(draft, node, alpha)), PLAIN)


def gelu(draft: Draft, node: Node) -> None:
    """Gelu (since operator set 20), exact or by tanh."""
    x = _real(draft, node)
    draft.emit("Gelu", node, (x.name,), {"approximate": node.attributes.get("approximate", "none") == "tanh"})


def softplus(draft: Draft, node: Node) -> None:
    """Softplus: Relu(x) + Log(1 + Exp(-Abs(x))), which no x overflows."""
    draft.emit("Add", node, _softplus(draft, node, _real(draft, node)), PLAIN)


def mish(draft: Draft, node: Node) -> None:
    """Mish: x * Tanh(Softplus(x))."""
    x = _real(draft, node)
    smooth = draft.step("Add", node, _softplus(draft, node, x), PLAIN, x.shape)
    draft.emit("Mul", node, (x.name, draft.step("Tanh", node, (smooth,), {}, x.shape)), PLAIN)


def softsign(draft: Draft, node: Node) -> None:
    """Softsign: x / (1 + Abs(x))."""
    x = _real(draft, node)
    magnitude = draft.step("Abs", node, (x.name,), {}, x.shape)
    below = draft.step("Add", node, (magnitude, scalar(draft, node, 1.0)), PLAIN, x.shape)
    draft.emit("Div", node, (x.name, below), attributes_of("Div"))


def swish(draft: Draft, node: Node) -> None:
    """Swish (since operator set 24): x * Sigmoid(alpha * x)."""
    x, alpha = _real(draft, node), _float(node, "alpha", 1.0)
    scaled = x.name
    if alpha != 1:
        scaled = draft.step("Mul", node, (x.name, scalar(draft, node, alpha)), PLAIN, x.shape)
    draft.emit("Mul", node, (x.name, draft.step("Sigmoid", node, (scaled,), {}, x.shape)), PLAIN)


def log_softmax(draft: Draft, node: Node) -> None:
    """LogSoftmax along one axis."""
    x = _real(draft, node)
    draft.emit("LogSoftmax", node, (x.name,), {"axis": axis_of(node.attributes.get("axis", -1), len(x.shape))})


def _two_sided(draft: Draft, node: Node, x: Tensor, above: float, below: float) -> tuple[str, str]:
    """above * Relu(x) and below * Elu(Min(x, 0))."""
    positive = draft.step("Relu", node, (x.name,), {}, x.shape)
    if above != 1:
        positive = draft.step("Mul", node, (positive, scalar(draft, node, above)), PLAIN, x.shape)
    negative = draft.step("Min", node, (x.name, scalar(draft, node, 0.0)), {}, x.shape)
    curved = draft.step("Elu", node, (negative,), {"alpha": 1.0}, x.shape)
    return positive, draft.step("Mul", node, (curved, scalar(draft, node, below)), PLAIN, x.shape)


def _softplus(draft: Draft, node: Node, x: Tensor) -> tuple[str, str]:
    positive = draft.step("Relu", node, (x.name,), {}, x.shape)
    magnitude = draft.step("Abs", node, (x.name,), {}, x.shape)
    falling = draft.step("Exp", node, (draft.step("Neg", node, (magnitude,), {}, x.shape),), {}, x.shape)
    above = draft.step("Add", node, (falling, scalar(draft, node, 1.0)), PLAIN, x.shape)
    return positive, draft.step("Log", node, (above,), {}, x.shape)


def _real(draft: Draft, node: Node) -> Tensor:
    x = draft.tensor(node.input(0))
    if not x.dtype.startswith("float"):
        raise NotCanonical("integer input")
    return x


def _float(node: Node, key: str, default: float) -> float:
    value: Any = node.attributes.get(key, default)
    return float(np.float32(value))
