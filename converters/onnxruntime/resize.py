"""A linear Resize for ONNX Runtime with the integers of XNNPACK's: weights of 11 bits, ties half up.

ONNX Runtime's own integer Resize truncates. Where the weights have few bits, its float32 Resize of the integers is
exact, and only the rounding is put behind it; elsewhere the resize is spelled out as two matrix products.
"""

from math import log2, prod

import numpy as np
from onnx import TensorProto

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.pooling import resize, resize_attributes, resize_sizes
from edge.graph.graph import Operator
from edge.graph.passes.recompose import HALF
from edge.vision.bilinear import bilinear_matrix

# A map enlarged or reduced so many times, a power of two, has weights of at most 7 bits: float32 holds every product.
LARGEST_LOG2_RATIO = 6


def write_resize(out: Builder, operator: Operator) -> None:
    """Write a Resize; a linear one over uint8 activations exactly, any other as the QDQ form does."""
    source, target = out.graph.tensors[operator.inputs[0]], out.graph.tensors[operator.outputs[0]]
    if operator.attributes["mode"] != "linear" or target.dtype != "uint8":
        resize(out, operator)
    elif operator.attributes["coordinates"] != "align_corners" and _is_power_of_two(source.shape, target.shape):
        _in_float32(out, operator)
    else:
        _as_matrices(out, operator)


def _is_power_of_two(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    ratios = [log2(after[axis] / before[axis]) for axis in (2, 3)]
    return all(ratio.is_integer() and abs(ratio) <= LARGEST_LOG2_RATIO for ratio in ratios)


def _in_float32(out: Builder, operator: Operator) -> None:
    """Cast, Resize, Add 0.5, Cast (see `edge.graph.passes.fuse_rounding`)."""
    name = operator.outputs[0]
    _cast(out, out.raw(operator.inputs[0]), f"{name}/integers", f"{operator.name}/cast", TensorProto.FLOAT)
    inputs = (f"{name}/integers", "", "", resize_sizes(out, operator))
    out.node("Resize", inputs, (f"{name}/unrounded",), operator.name, **resize_attributes(operator))
    out.node("Add", (f"{name}/unrounded", out.scalar(HALF)), (f"{name}/half_up",), f"{operator.name}/half_up")
    _cast(out, f"{name}/half_up", name, f"{operator.name}/truncate", TensorProto.UINT8)


def _as_matrices(out: Builder, operator: Operator) -> None:
    """Along the height in float32 (8 + 11 bits), along the width in float64 (11 more), plus one half, truncated."""
    name, coordinates = operator.outputs[0], operator.attributes["coordinates"]
    before, after = (out.graph.tensors[each].shape for each in (operator.inputs[0], name))
    rows, columns = (bilinear_matrix(before[axis], after[axis], coordinates) for axis in (2, 3))
    height = out.constant(f"{name}/height", rows.astype(np.float32))
    width = out.constant(f"{name}/width", np.asarray(columns.T, order="C"))
    flat_shape = out.constant(f"{name}/rows", np.array([prod(after[:3]), before[3]], np.int64))
    half = out.constant("constant_double_half", np.array([HALF], np.float64))
    _cast(out, out.raw(operator.inputs[0]), f"{name}/integers", f"{operator.name}/cast", TensorProto.FLOAT)
    out.node("MatMul", (height, f"{name}/integers"), (f"{name}/tall",), operator.name)
    _cast(out, f"{name}/tall", f"{name}/wide", f"{operator.name}/widen", TensorProto.DOUBLE)
    out.node("Reshape", (f"{name}/wide", flat_shape), (f"{name}/flat",), f"{operator.name}/flat")
    out.node("Gemm", (f"{name}/flat", width, half), (f"{name}/half_up",), f"{operator.name}/width")
    _cast(out, f"{name}/half_up", f"{name}/truncated", f"{operator.name}/truncate", TensorProto.UINT8)
    out.node("Reshape", (f"{name}/truncated", resize_sizes(out, operator)), (name,), f"{operator.name}/shape")


def _cast(out: Builder, source: str, target: str, name: str, to: int) -> None:
    out.node("Cast", (source,), (target,), name, to=to)
