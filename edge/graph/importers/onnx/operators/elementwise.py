"""Clip, hard sigmoid, softmax and ArgMax."""

from typing import Any

import numpy as np

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.passes.rewrite import real_values


def clip(importer: Importer, node: Node) -> None:
    """Clip with constant limits: [0, inf) is Relu, [0, 6] is Relu6.

    Over integers whose parameters are known the limits are integers too; they become real numbers here. A constant of
    such integers (tools clip weights to a narrow range so) is clipped while reading.
    """
    x = importer.tensor(node.input(0))
    if x.data is not None:
        limits = [importer.constant(name) for name in (node.input(1), node.input(2))]
        if x.dtype.startswith("float") or any(limit is not None and limit.size != 1 for limit in limits):
            raise NotCanonical("a clip of constants")
        importer.reserve(x.shape, x.data.dtype.itemsize)
        clipped = x.data
        for limit, apply in zip(limits, (np.maximum, np.minimum), strict=True):
            clipped = clipped if limit is None else apply(clipped, limit.reshape(()))
        importer.add_constant(node.outputs[0], clipped, x.quantization)
        return
    low = _limit(importer, node.input(1), x, "min")
    high = _limit(importer, node.input(2), x, "max")
    if low == -np.inf and high == np.inf:
        importer.alias(node.outputs[0], x.name)
        return
    kind, attributes = clip_kind(low, high)
    importer.emit(kind, node, (x.name,), attributes)
    if x.quantization is not None:
        importer.set_quantization(node.outputs[0], x.quantization)


def clip_kind(low: float, high: float) -> tuple[str, dict[str, Any]]:
    """The canonical kind and attributes of a clip to [low, high]."""
    if low == 0 and high == np.inf:
        return "Relu", {}
    if low == 0 and high == 6:
        return "Relu6", {}
    return "Clip", {"min": float(low), "max": float(high)}


def _limit(importer: Importer, name: str, x: Tensor, side: str) -> float:
    """One limit as a real number; an absent one is infinite."""
    infinite = -np.inf if side == "min" else np.inf
    if not name:
        return infinite
    constant = importer.required_constant(name)
    if constant.data is None or constant.data.size != 1:
        raise NotCanonical(f"{side} is not one number")
    if x.dtype.startswith("float"):
        value = float(real_values(constant).reshape(()))
        return infinite if abs(value) >= float(np.finfo(np.float32).max) else value
    if x.quantization is None or x.quantization.axis is not None:
        raise NotCanonical("integers without parameters")
    value = int(constant.data.reshape(()))
    scale, zero_point = x.quantization.scale[0], int(x.quantization.zero_point[0])
    limits = np.iinfo(x.dtype)
    if value == (limits.min if side == "min" else limits.max):
        return infinite
    if side == "max" and value == int(np.rint(np.float32(6) / scale)) + zero_point:
        return 6.0
    return float(scale * np.float32(value - zero_point))


def hard_sigmoid(importer: Importer, node: Node) -> None:
    """max(0, min(1, alpha * x + beta)); ONNX's defaults are 0.2 and 0.5."""
    x = importer.tensor(node.input(0))
    attributes = {
        "alpha": float(np.float32(node.attributes.get("alpha", 0.2))),
        "beta": float(np.float32(node.attributes.get("beta", 0.5))),
    }
    importer.emit("HardSigmoid", node, (x.name,), attributes)


def softmax(importer: Importer, node: Node) -> None:
    """Softmax along one axis (the meaning since operator set 13)."""
    x = importer.tensor(node.input(0))
    importer.emit("Softmax", node, (x.name,), {"axis": axis_of(node.attributes.get("axis", -1), len(x.shape))})


def arg_max(importer: Importer, node: Node) -> None:
    """Index of the first largest value along an axis, int64."""
    x = importer.tensor(node.input(0))
    if node.attributes.get("select_last_index", 0):
        raise NotCanonical("the last of equal values")
    attributes = {
        "axis": axis_of(node.attributes.get("axis", 0), len(x.shape)),
        "keepdims": node.attributes.get("keepdims", 1) == 1,
    }
    importer.emit("ArgMax", node, (x.name,), attributes)


def axis_of(axis: int, rank: int) -> int:
    """An axis made non-negative. Refuses (NotCanonical) one outside the rank."""
    if not -rank <= axis < rank:
        raise NotCanonical(f"axis {axis} of rank {rank}")
    return int(axis) % rank
