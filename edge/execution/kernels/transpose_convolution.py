"""Transposed convolution, exact in 32-bit accumulators, requantized as a convolution is (XNNPACK qs8 deconvolution)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from edge.execution.kernels.affine import (
    Kernel,
    activation_range,
    affine,
    channels_first,
    given,
    graph_layout,
    pads,
    pair,
)
from edge.execution.kernels.convolution import (
    bias_values,
    centred_weight,
    exact_sum,
    multiplier,
    requantize,
)
from edge.graph.graph import Graph, Operator
from edge.graph.ops.padding import transposed_full_size


def transposed_sum(graph: Graph, operator: Operator, value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The transposed convolution of an NCHW value with a weight (O, I / group, kh, kw), cut to the output's size.

    What the output has beyond the windows (ONNX's output_padding) is zero.
    """
    strides, dilations, group = (
        pair(operator, "strides"),
        pair(operator, "dilations"),
        int(operator.attributes["group"]),
    )
    top, left, _, _ = pads(operator)
    shape = graph.tensors[operator.outputs[0]].shape
    height, width = shape[2:4] if graph.layout == "nchw" else shape[1:3]
    outputs, per_group, *kernel_hw = weight.shape
    # torch wants (I, O / group, kh, kw)
    turned = weight.reshape(group, outputs // group, per_group, *kernel_hw).transpose(1, 2)
    turned = turned.reshape(group * per_group, outputs // group, *kernel_hw)
    full = functional.conv_transpose2d(value, turned, None, strides, groups=group, dilation=dilations)
    full_height, full_width = transposed_full_size(value.shape[2:4], kernel_hw, strides, dilations)
    beyond = (0, max(0, left + width - full_width), 0, max(0, top + height - full_height))
    return functional.pad(full, beyond)[:, :, top : top + height, left : left + width]


def conv_transpose(graph: Graph, operator: Operator) -> Kernel:
    """ConvTranspose: x, weight (O, I / group, kh, kw), bias."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    weight, quantization = centred_weight(graph, operator, operator.inputs[1])
    factor = multiplier(source.scale, quantization.scale, target.scale).reshape(1, -1, 1, 1)
    bounds = activation_range(target, operator.attributes["activation"])
    bias = bias_values(graph, operator, len(weight))
    total = exact_sum(
        weight, source.largest_magnitude, bias, lambda value, kernel: transposed_sum(graph, operator, value, kernel)
    )

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        centred = channels_first(graph, given(values, 0)).float().sub_(source.zero_point)
        summed = total(centred, centred)
        return graph_layout(graph, requantize(summed.contiguous(), factor, target, bounds))

    return kernel


def float_conv_transpose(graph: Graph, operator: Operator) -> Kernel:
    """The same over float32."""
    low, high = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}[
        operator.attributes["activation"]
    ]

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        result = transposed_sum(graph, operator, channels_first(graph, given(values, 0)), given(values, 1))
        bias = values[2] if len(values) > 2 else None
        if bias is not None:
            result = result + bias.reshape(1, -1, 1, 1)
        return graph_layout(graph, result.clamp(low, high))

    return kernel
