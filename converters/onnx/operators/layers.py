"""Operators with weights: Conv, ConvTranspose, Gemm, BatchNorm."""

from dataclasses import replace

import numpy as np

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import computed, reals
from edge.errors import UnsupportedError
from edge.graph.graph import Operator, Tensor
from edge.graph.ops.padding import transposed_full_size


def conv(out: Builder, operator: Operator) -> None:
    """Conv."""
    given = operator.attributes
    kernel = out.graph.tensors[operator.inputs[1]].shape[2:]
    computed(
        out,
        operator,
        "Conv",
        reals(out, operator),
        kernel_shape=kernel,
        strides=given["strides"],
        pads=given["pads"],
        dilations=given["dilations"],
        group=given["group"],
    )


def gemm(out: Builder, operator: Operator) -> None:
    """Gemm of rows; over more axes MatMul and Add, as ONNX has its Gemm for rank 2 only."""
    if len(out.graph.tensors[operator.inputs[0]].shape) == 2:
        computed(out, operator, "Gemm", reals(out, operator), transB=1)
        return
    weight = _turned(out, operator.inputs[1])
    bias = out.real(operator.inputs[2])
    product = f"{operator.outputs[0]}/product" if bias else out.result(operator)
    out.node("MatMul", (out.real(operator.inputs[0]), weight), (product,), operator.name)
    if bias:
        out.node("Add", (product, bias), (out.result(operator),), f"{operator.name}/bias")
    out.finish(operator)


def conv_transpose(out: Builder, operator: Operator) -> None:
    """ConvTranspose, whose weight is (I, O, kh, kw) in ONNX. Refuses (UnsupportedError) groups of integers."""
    given = operator.attributes
    x, weight, target = (out.graph.tensors[name] for name in (*operator.inputs[:2], operator.outputs[0]))
    if given["group"] != 1 and weight.quantization is not None:
        raise UnsupportedError(
            f"ConvTranspose '{operator.name}': {given['group']} groups of integers; legalize_conv_transpose splits them"
        )
    full = transposed_full_size(x.shape[2:], weight.shape[2:], given["strides"], given["dilations"])
    top, left, bottom, right = given["pads"]
    kept = (full[0] - top - bottom, full[1] - left - right)
    more = [size - least for size, least in zip(target.shape[2:], kept, strict=True)]
    attributes = {"output_padding": more} if any(more) else {}
    inputs = (out.real(x.name), _turned(out, weight.name, given["group"]), out.real(operator.inputs[2]))
    computed(
        out,
        operator,
        "ConvTranspose",
        inputs if inputs[2] else inputs[:2],
        kernel_shape=weight.shape[2:],
        strides=given["strides"],
        pads=given["pads"],
        dilations=given["dilations"],
        group=given["group"],
        **attributes,
    )


def _turned(out: Builder, name: str, group: int = 1) -> str:
    """The real values of a weight (O, I / group, ...) as (I, O / group, ...), stored so, as `NAME/transposed`."""
    weight = out.graph.tensors[name]
    assert weight.data is not None
    outputs, inputs, *rest = weight.shape
    data = weight.data.reshape(group, outputs // group, inputs, *rest).swapaxes(1, 2)
    data = np.ascontiguousarray(data.reshape(group * inputs, outputs // group, *rest))
    quantization = weight.quantization
    if quantization is not None and quantization.axis is not None:
        quantization = replace(quantization, axis=1 - quantization.axis)
    turned = f"{name}/transposed"
    made = Tensor(name=turned, shape=data.shape, dtype=weight.dtype, data=data, quantization=quantization)
    out.graph = replace(out.graph, tensors={**out.graph.tensors, turned: made})
    return out.real(turned)


def batch_norm(out: Builder, operator: Operator) -> None:
    """BatchNormalization."""
    computed(out, operator, "BatchNormalization", reals(out, operator), epsilon=operator.attributes["epsilon"])
