"""Arithmetic with broadcasting: two operands, any number of them, powers and reciprocals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.passes.rewrite import real_values

# canonical kinds of two operands that take a fused activation
ACTIVATED = frozenset({"Add", "Sub", "Mul", "Div"})
# exponents that have a cheaper canonical kind; 2 and 1 are handled apart
ROOTS = {0.5: "Sqrt", -0.5: "Rsqrt"}


def attributes_of(kind: str) -> dict[str, Any]:
    """The attributes of a canonical operator of two operands, nothing fused."""
    return {"activation": "none"} if kind in ACTIVATED else {}


def arithmetic(importer: Importer, node: Node) -> None:
    """Add, Sub, Mul, Div: two inputs of one dtype, broadcast as numpy does."""
    inputs = [importer.tensor(node.input(index)) for index in range(2)]
    require_reals(inputs)
    importer.emit(node.kind, node, [tensor.name for tensor in inputs], attributes_of(node.kind))


def variadic(importer: Importer, node: Node) -> None:
    """Sum, Mean, Max and Min of any number of inputs: one operator of two operands after another."""
    kind = {"Sum": "Add", "Mean": "Add"}.get(node.kind, node.kind)
    inputs = [importer.tensor(name) for name in node.inputs]
    require_reals(inputs)
    if len(inputs) == 1:
        importer.alias(node.outputs[0], inputs[0].name)
        return
    mean = node.kind == "Mean"
    current = inputs[0]
    for tensor in inputs[1 : None if mean else -1]:
        shape = np.broadcast_shapes(current.shape, tensor.shape)
        name = importer.step(kind, node, (current.name, tensor.name), attributes_of(kind), shape, dtype=current.dtype)
        current = importer.tensor(name)
    last = scalar(importer, node, 1 / len(inputs)) if mean else inputs[-1].name
    kind = "Mul" if mean else kind
    importer.emit(kind, node, (current.name, last), attributes_of(kind))


def reciprocal(importer: Importer, node: Node) -> None:
    """1 / x."""
    x = importer.tensor(node.input(0))
    require_reals([x])
    importer.emit("Div", node, (scalar(importer, node, 1.0), x.name), attributes_of("Div"))


def power(importer: Importer, node: Node) -> None:
    """Pow: by a constant 1, 2, 0.5, -0.5 or -1 as what it is, else base and exponent of one dtype."""
    base, exponent = importer.tensor(node.input(0)), importer.tensor(node.input(1))
    require_reals([base])
    constant = float(real_values(exponent).reshape(())) if _is_one_number(exponent) else None
    if len(exponent.shape) > len(base.shape):
        constant = None
    if constant == 1:
        importer.alias(node.outputs[0], base.name)
    elif constant == 2:
        importer.emit("Mul", node, (base.name, base.name), attributes_of("Mul"))
    elif constant == -1:
        importer.emit("Div", node, (scalar(importer, node, 1.0), base.name), attributes_of("Div"))
    elif constant in ROOTS:
        importer.emit(ROOTS[constant], node, (base.name,), {})
    elif exponent.data is not None and exponent.quantization is None:
        data = exponent.data.astype(base.dtype)
        name = importer.add_constant(f"{exponent.name}/{base.dtype}", data, fresh=True)
        importer.emit("Pow", node, (base.name, name), {})
    elif exponent.dtype == base.dtype:
        importer.emit("Pow", node, (base.name, exponent.name), {})
    else:
        raise NotCanonical(f"an exponent of {exponent.dtype}")


def scalar(importer: Importer, node: Node, value: float) -> str:
    """A float32 scalar constant that a node needs."""
    return importer.add_constant(f"{node.outputs[0]}/{value:g}", np.array(value, np.float32), fresh=True)


def require_reals(tensors: Sequence[Tensor]) -> None:
    """Refuse (NotCanonical) integers that stand for themselves: counts, indices, shapes."""
    if any(tensor.quantization is None and not tensor.dtype.startswith("float") for tensor in tensors):
        raise NotCanonical("integer arithmetic")


def _is_one_number(tensor: Tensor) -> bool:
    return tensor.data is not None and tensor.data.size == 1
