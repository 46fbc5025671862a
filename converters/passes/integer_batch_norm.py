"""An unfolded batch norm of a quantized file as a 1x1 depthwise convolution: one integer kernel, one rounding."""

from dataclasses import replace

import numpy as np

from converters.passes.fold_batch_norm import channel_affine
from edge.artifact.scheme import quantize_weight, weight_scales
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild


def integer_batch_norm(graph: Graph) -> Graph:
    """Replace every BatchNorm over (n, C, h, w) between a Dequantize and a Quantize by a depthwise Conv.

    Requires: Quantize and Dequantize as operators.
    Ensures: the Conv's weights are int8 with a scale per channel, its bias is float; `collapse_qdq` makes one integer
    operator of it, with the file's parameters before and behind. A BatchNorm elsewhere stays.
    """
    tensors = dict(graph.tensors)
    operators = [_as_conv(graph, tensors, operator) for operator in graph.operators]
    return rebuild(graph, operators, tensors)


def _as_conv(graph: Graph, tensors: dict[str, Tensor], operator: Operator) -> Operator:
    producer = graph.producer(operator.inputs[0]) if operator.kind == "BatchNorm" else None
    if producer is None or producer.kind != "Dequantize" or len(tensors[operator.inputs[0]].shape) != 4:
        return operator
    readers, source = graph.consumers(operator.outputs[0]), tensors[producer.inputs[0]].quantization
    if [reader.kind for reader in readers] != ["Quantize"] or operator.outputs[0] in graph.outputs or source is None:
        return operator
    factor, offset = channel_affine(tensors, operator)
    channels = factor.size
    weight, bias = factor.astype(np.float32).reshape(channels, 1, 1, 1), offset.astype(np.float32)
    scale = weight_scales(weight, bias, float(source.scale[0]))
    names = [fresh_name(f"{operator.name}/{role}", tensors) for role in ("factor", "offset")]
    tensors[names[0]] = Tensor(
        name=names[0],
        shape=weight.shape,
        dtype="int8",
        data=quantize_weight(weight, scale),
        quantization=Quantization(scale=scale, zero_point=np.zeros(channels, np.int64), axis=0),
    )
    tensors[names[1]] = Tensor(name=names[1], shape=bias.shape, dtype="float32", data=bias)
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": channels, "activation": "none"}
    return replace(operator, kind="Conv", inputs=(operator.inputs[0], *names), attributes=attributes)
