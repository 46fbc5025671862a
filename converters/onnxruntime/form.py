"""The form of an integer model that ONNX Runtime runs fastest: uint8 activations, nothing that stops a fusion.

ONNX Runtime fuses DequantizeLinear, operator, QuantizeLinear into one integer kernel on every CPU only for uint8
activations, and only if nothing stands between.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from onnx import TensorProto

from converters.onnx.file import write_model
from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import Writer
from converters.onnx.operators.pooling import pool_attributes
from converters.onnx.operators.table import WRITERS
from converters.onnxruntime.resize import write_resize
from converters.onnxruntime.sum import SUMS
from converters.passes.canonical_int8 import uint8_activations
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.fuse_rounding import AWAY_FROM_ZERO

LARGEST_EXACT_WINDOW = 2048


def onnxruntime_form(graph: Graph) -> bytes:
    """Write an int8 NCHW graph for ONNX Runtime: the same real values, scales and tensor names, zero points plus 128.

    Raises:
        UnsupportedError: an operator that cannot be written, by name.
    """
    return write_model(uint8_activations(graph), FAST_WRITERS)


def clamp_limits(tensor: Tensor, activation: str) -> tuple[int, int]:
    """The integers that a rectifier clamps to: those of its real limits, within the tensor's type."""
    assert tensor.quantization is not None
    limits = np.iinfo(tensor.dtype)
    scale, zero_point = tensor.quantization.scale[0], int(tensor.quantization.zero_point[0])
    low = max(limits.min, zero_point) if activation != "none" else int(limits.min)
    high = int(limits.max)
    if activation == "relu6":
        high = min(high, int(np.rint(np.float32(6) / scale)) + zero_point)
    return low, high


def _clamped(out: Builder, operator: Operator) -> None:
    """An operator whose rectifier clamps integers: nothing where the type does it already, else a Clip after it."""
    activation = operator.attributes["activation"]
    tensor = out.graph.tensors[operator.outputs[0]]
    plain = replace(operator, attributes={**operator.attributes, "activation": "none"})
    if tensor.dtype != "uint8":  # float, or int16, for which there is no kernel of Clip: in float between roundings
        WRITERS[operator.kind](out, operator)
        return
    limits = np.iinfo(tensor.dtype)
    low, high = clamp_limits(tensor, activation)
    if (low, high) == (limits.min, limits.max):
        PLAIN_WRITERS[operator.kind](out, plain)
        return
    free = f"{tensor.name}/unclamped"
    tensors = {**out.graph.tensors, free: replace(tensor, name=free)}
    out.graph = replace(out.graph, tensors=tensors)
    PLAIN_WRITERS[operator.kind](out, replace(plain, outputs=(free,)))
    _clip(out, free, tensor.name, (low, high), tensor.dtype, f"{operator.name}/{activation}")


def _clip(out: Builder, source: str, target: str, limits: tuple[int, int], dtype: str, name: str) -> None:
    bounds = [out.constant(f"constant_{dtype}_{value}", np.array(value, dtype)) for value in limits]
    out.node("Clip", (source, *bounds), (target,), name)


def _average_pool(out: Builder, operator: Operator) -> None:
    """An average pool over int8 as floats, ties rounded away from zero, in uint8 (see `fuse_rounding.AWAY_FROM_ZERO`).

    ONNX Runtime's own integer average pool rounds ties to even. Means of over 2048 values, and such that count padding,
    stay with it.
    """
    tensor = out.graph.tensors[operator.outputs[0]]
    given = operator.attributes
    counted = given["count_include_pad"] and any(given["pads"])
    if tensor.dtype != "uint8" or counted or given["kernel"][0] * given["kernel"][1] > LARGEST_EXACT_WINDOW:
        WRITERS["AveragePool"](out, operator)
        return
    name = tensor.name
    inner = (f"{name}/unsigned", f"{name}/integers", f"{name}/mean", f"{name}/untied", f"{name}/rounded", f"{name}/up")
    out.node("Cast", (out.raw(operator.inputs[0]),), (inner[0],), f"{operator.name}/cast", to=TensorProto.FLOAT)
    out.node("Add", (inner[0], out.scalar(-128)), (inner[1],), f"{operator.name}/signed")
    out.node("AveragePool", (inner[1],), (inner[2],), operator.name, **pool_attributes(operator))
    out.node("Mul", (inner[2], out.scalar(AWAY_FROM_ZERO)), (inner[3],), f"{operator.name}/untie")
    out.node("Round", (inner[3],), (inner[4],), f"{operator.name}/round")
    out.node("Add", (inner[4], out.scalar(128)), (inner[5],), f"{operator.name}/unsigned")
    out.node("Cast", (inner[5],), (name,), f"{operator.name}/integers", to=TensorProto.UINT8)


CLAMPING = ("Conv", "Gemm", "Add", "Sub", "Mul", "AveragePool", "MaxPool")
PLAIN_WRITERS: Mapping[str, Writer] = MappingProxyType(
    {**WRITERS, "AveragePool": _average_pool, "Resize": write_resize, **SUMS}
)
FAST_WRITERS: Mapping[str, Writer] = MappingProxyType({**PLAIN_WRITERS, **dict.fromkeys(CLAMPING, _clamped)})
