"""Functions of one value: those that have a kind, and those that are put together from kinds that have."""

from typing import Any

import numpy as np

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.arithmetic import attributes_of, scalar
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.passes.rewrite import real_values

PLAIN = {"activation": "none"}


def unary(importer: Importer, node: Node) -> None:
    """Relu, Sigmoid, Tanh, HardSwish, Abs, Neg, Sqrt, Exp, Log, Floor, Ceil, Round, Sin, Cos over floats."""
    importer.emit(node.kind, node, (_real(importer, node).name,), {})


def leaky_relu(importer: Importer, node: Node) -> None:
    """LeakyRelu; ONNX's default slope is 0.01."""
    x = _real(importer, node)
    importer.emit("LeakyRelu", node, (x.name,), {"alpha": _float(node, "alpha", 0.01)})


def p_relu(importer: Importer, node: Node) -> None:
    """PRelu with a constant slope; one slope for all channels is a LeakyRelu."""
    x, slope = _real(importer, node), importer.required_constant(node.input(1))
    if slope.data is not None and slope.data.size == 1:
        importer.emit("LeakyRelu", node, (x.name,), {"alpha": float(real_values(slope).reshape(()))})
        return
    importer.emit("PRelu", node, (x.name, slope.name), {})


def elu(importer: Importer, node: Node) -> None:
    """Elu: with another slope than 1 as Relu(x) + alpha * Elu(Min(x, 0))."""
    x, alpha = _real(importer, node), _float(node, "alpha", 1.0)
    if alpha == 1:
        importer.emit("Elu", node, (x.name,), {"alpha": 1.0})
    else:
        importer.emit("Add", node, _two_sided(importer, node, x, 1.0, alpha), PLAIN)


def selu(importer: Importer, node: Node) -> None:
    """Selu: gamma * (Relu(x) + alpha * Elu(Min(x, 0)))."""
    x = _real(importer, node)
    alpha, gamma = _float(node, "alpha", 1.67326319217681884765625), _float(node, "gamma", 1.05070102214813232421875)
    importer.emit("Add", node, _two_sided(importer, node, x, gamma, alpha * gamma), PLAIN)


def celu(importer: Importer, node: Node) -> None:
    """Celu: alpha * Elu(x / alpha)."""
    x, alpha = _real(importer, node), _float(node, "alpha", 1.0)
    if not alpha > 0:
        raise NotCanonical("alpha is not positive")
    scaled = importer.step("Mul", node, (x.name, scalar(importer, node, 1 / alpha)), PLAIN, x.shape)
    curved = importer.step("Elu", node, (scaled,), {"alpha": 1.0}, x.shape)
    importer.emit("Mul", node, (curved, scalar(importer, node, alpha)), PLAIN)


def gelu(importer: Importer, node: Node) -> None:
    """Gelu (since operator set 20), exact or by tanh."""
    x = _real(importer, node)
    importer.emit("Gelu", node, (x.name,), {"approximate": node.attributes.get("approximate", "none") == "tanh"})


def softplus(importer: Importer, node: Node) -> None:
    """Softplus: Relu(x) + Log(1 + Exp(-Abs(x))), which no x overflows."""
    importer.emit("Add", node, _softplus(importer, node, _real(importer, node)), PLAIN)


def mish(importer: Importer, node: Node) -> None:
    """Mish: x * Tanh(Softplus(x))."""
    x = _real(importer, node)
    smooth = importer.step("Add", node, _softplus(importer, node, x), PLAIN, x.shape)
    importer.emit("Mul", node, (x.name, importer.step("Tanh", node, (smooth,), {}, x.shape)), PLAIN)


def softsign(importer: Importer, node: Node) -> None:
    """Softsign: x / (1 + Abs(x))."""
    x = _real(importer, node)
    magnitude = importer.step("Abs", node, (x.name,), {}, x.shape)
    below = importer.step("Add", node, (magnitude, scalar(importer, node, 1.0)), PLAIN, x.shape)
    importer.emit("Div", node, (x.name, below), attributes_of("Div"))


def swish(importer: Importer, node: Node) -> None:
    """Swish (since operator set 24): x * Sigmoid(alpha * x)."""
    x, alpha = _real(importer, node), _float(node, "alpha", 1.0)
    scaled = x.name
    if alpha != 1:
        scaled = importer.step("Mul", node, (x.name, scalar(importer, node, alpha)), PLAIN, x.shape)
    importer.emit("Mul", node, (x.name, importer.step("Sigmoid", node, (scaled,), {}, x.shape)), PLAIN)


def log_softmax(importer: Importer, node: Node) -> None:
    """LogSoftmax along one axis."""
    x = _real(importer, node)
    importer.emit("LogSoftmax", node, (x.name,), {"axis": axis_of(node.attributes.get("axis", -1), len(x.shape))})


def _two_sided(importer: Importer, node: Node, x: Tensor, above: float, below: float) -> tuple[str, str]:
    """above * Relu(x) and below * Elu(Min(x, 0))."""
    positive = importer.step("Relu", node, (x.name,), {}, x.shape)
    if above != 1:
        positive = importer.step("Mul", node, (positive, scalar(importer, node, above)), PLAIN, x.shape)
    negative = importer.step("Min", node, (x.name, scalar(importer, node, 0.0)), {}, x.shape)
    curved = importer.step("Elu", node, (negative,), {"alpha": 1.0}, x.shape)
    return positive, importer.step("Mul", node, (curved, scalar(importer, node, below)), PLAIN, x.shape)


def _softplus(importer: Importer, node: Node, x: Tensor) -> tuple[str, str]:
    positive = importer.step("Relu", node, (x.name,), {}, x.shape)
    magnitude = importer.step("Abs", node, (x.name,), {}, x.shape)
    falling = importer.step("Exp", node, (importer.step("Neg", node, (magnitude,), {}, x.shape),), {}, x.shape)
    above = importer.step("Add", node, (falling, scalar(importer, node, 1.0)), PLAIN, x.shape)
    return positive, importer.step("Log", node, (above,), {}, x.shape)


def _real(importer: Importer, node: Node) -> Tensor:
    x = importer.tensor(node.input(0))
    if not x.dtype.startswith("float"):
        raise NotCanonical("integer input")
    return x


def _float(node: Node, key: str, default: float) -> float:
    value: Any = node.attributes.get(key, default)
    return float(np.float32(value))
