"""Conv -> CONV_2D (weights O,h,w,I; groups by a smaller I) or DEPTHWISE_CONV_2D (weights 1,h,w,C * multiplier).

A wide kernel over few channels is written with whole rows as channels (`converters.tflite.banded_convolution`).
"""

import numpy as np

from converters.tflite.banded_convolution import is_banded, write_banded_conv
from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import BIAS_DTYPES, bias_quantization, int8_version, require_weights
from converters.tflite.windows import padded_input
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

GROUPED_VERSION = 6


def write_conv(builder: FileBuilder, operator: Operator) -> None:
    """Write a convolution. Refuses (UnsupportedError) computed weights and parameters that no kernel computes."""
    graph, attributes = builder.graph, operator.attributes
    weight = graph.tensors[operator.inputs[1]]
    if weight.data is None:
        raise UnsupportedError(f"Conv '{operator.name}': weight '{weight.name}' is not a constant")
    if len(weight.shape) != 4:
        raise UnsupportedError(f"Conv '{operator.name}': weights of {len(weight.shape)} axes; only 2-D is known")
    require_weights(graph, operator)
    if is_banded(builder, operator):
        write_banded_conv(builder, operator)
        return
    kernel_hw, dilations = weight.shape[2:], attributes["dilations"]
    channels = graph.tensors[operator.inputs[0]].shape[3]
    x, padding = padded_input(builder, operator, kernel_hw, dilations)
    shared = {
        "padding": padding,
        "strideH": attributes["strides"][0],
        "strideW": attributes["strides"][1],
        "dilationHFactor": dilations[0],
        "dilationWFactor": dilations[1],
        "fusedActivationFunction": builder.fused(operator),
    }
    outputs = [builder.tensor(operator.outputs[0])]
    if attributes["group"] == channels and channels > 1:
        # (O, 1, h, w) -> (1, h, w, O)
        filters = builder.rearranged(weight.name, "depthwise", weight.data.transpose(1, 2, 3, 0), 3)
        inputs = [x, filters, bias_index(builder, operator)]
        dilated = 2 if tuple(dilations) != (1, 1) else 1
        version = int8_version(graph, operator, int8=3, other=dilated)
        shared["depthMultiplier"] = weight.shape[0] // channels
        builder.operator(
            "DEPTHWISE_CONV_2D", inputs, outputs, version=version, options="DepthwiseConv2DOptions", **shared
        )
        return
    # (O, I / group, h, w) -> (O, h, w, I / group); the kernel takes the group from the two channel counts.
    filters = builder.rearranged(weight.name, "filters", weight.data.transpose(0, 2, 3, 1), 0)
    inputs = [x, filters, bias_index(builder, operator)]
    version = GROUPED_VERSION if attributes["group"] > 1 else int8_version(graph, operator, int8=3)
    builder.operator("CONV_2D", inputs, outputs, version=version, options="Conv2DOptions", **shared)


def bias_index(builder: FileBuilder, operator: Operator) -> int:
    """Index of the bias; zeros are written where there is none, as old runtimes need one."""
    x, weight = (builder.graph.tensors[name] for name in operator.inputs[:2])
    if len(operator.inputs) > 2 and operator.inputs[2]:
        bias = builder.graph.tensors[operator.inputs[2]]
        if x.dtype != "int16" or bias.data is None:
            return builder.tensor(bias.name)
        return builder.rearranged(bias.name, "wide", bias.data.astype(BIAS_DTYPES[x.dtype]), 0)
    if x.quantization is None or weight.quantization is None:
        return builder.constant(operator, "bias", np.zeros(weight.shape[0], np.float32))
    quantization = bias_quantization(x.quantization, weight.quantization)
    return builder.constant(operator, "bias", np.zeros(weight.shape[0], BIAS_DTYPES[x.dtype]), quantization)
