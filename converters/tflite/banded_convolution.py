"""A wide kernel over a few channels, with whole rows as channels: the same integers in a fraction of the time.

A device's convolution kernels compute channels in blocks (XNNPACK: 4 or 8 that are read, 8 or 16 that are written). The
7x7 convolution of a spatial gate reads two and writes one, so that most of every block is padding: in a MobileNetV2
with CBAM these 17 convolutions take more time than all others. Stored NHWC, a row (1, W, I) is also (1, 1, W * I): a
RESHAPE that moves nothing. Along the width the convolution is then a product with a band matrix, of which every block
is full. The products that are added are the same but for zeros, in int32, and so is the multiplier: no value differs.
"""

import numpy as np
import numpy.typing as npt

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version
from edge.graph.graph import Operator, Quantization, Tensor
from edge.graph.ops.padding import same_pads

NARROWEST_KERNEL = 5
MOST_CHANNELS = 4
"""Read and written; with more, blocks fill by themselves."""
LARGEST_BAND = 1 << 16
"""Bytes of the band matrix; a wider map keeps its plain convolution."""


def is_banded(builder: FileBuilder, operator: Operator) -> bool:
    """Whether a Conv (weights constant, four axes) is written as a band matrix."""
    x, weight, y = (
        builder.graph.tensors[name] for name in (operator.inputs[0], operator.inputs[1], operator.outputs[0])
    )
    attributes = operator.attributes
    outputs, channels, height, width = weight.shape
    if x.dtype != "int8" or weight.quantization is None or y.dtype != "int8" or len(operator.inputs) < 3:
        return False
    if attributes["group"] != 1 or tuple(attributes["strides"]) != (1, 1) or tuple(attributes["dilations"]) != (1, 1):
        return False
    size = y.shape[2] * outputs * height * x.shape[2] * channels
    return (
        width >= NARROWEST_KERNEL
        and max(outputs, channels) <= MOST_CHANNELS
        and size <= LARGEST_BAND
        and _padding(x, operator, height) is not None
    )


def write_banded_conv(builder: FileBuilder, operator: Operator) -> None:
    """Write RESHAPE, CONV_2D with a kernel of one column, RESHAPE. Requires `is_banded`."""
    graph = builder.graph
    x, weight, bias, y = (graph.tensors[name] for name in (*operator.inputs[:3], operator.outputs[0]))
    assert weight.data is not None and bias.data is not None
    batch, rows, columns, channels = x.shape
    _, rows_out, columns_out, outputs = y.shape
    left = operator.attributes["pads"][1]
    wide = _reshaped(builder, operator, builder.tensor(x.name), "rows", x, (batch, rows, 1, columns * channels))
    band = band_matrix(weight.data, columns, columns_out, left)
    made = builder.activation(operator, "row_sums", y, (batch, rows_out, 1, columns_out * outputs))
    inputs = [
        wide,
        builder.constant(operator, "band", band, _repeated(weight, columns_out)),
        builder.constant(operator, "band_bias", np.tile(bias.data, columns_out), _repeated(bias, columns_out)),
    ]
    padding = getattr(builder.schema.Padding, _padding(x, operator, weight.shape[2]) or "VALID")
    builder.operator(
        "CONV_2D",
        inputs,
        [made],
        version=int8_version(graph, operator, int8=3),
        options="Conv2DOptions",
        padding=int(padding),
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=builder.fused(operator),
    )
    shape = np.array(y.shape, np.int32)
    back = [made, builder.constant(operator, "shape", shape)]
    builder.operator("RESHAPE", back, [builder.tensor(y.name)], options="ReshapeOptions", newShape=shape)


def band_matrix(weight: npt.NDArray[np.int8], columns: int, columns_out: int, left: int) -> npt.NDArray[np.int8]:
    """Weights (O, I, kh, kw) as (columns_out * O, kh, 1, columns * I): zero but where a window lies."""
    outputs, channels, height, width = weight.shape
    band = np.zeros((columns_out, outputs, height, columns, channels), np.int8)
    for position in range(columns_out):
        for offset in range(width):
            column = position + offset - left
            if 0 <= column < columns:
                band[position, :, :, column] = weight[:, :, :, offset].transpose(0, 2, 1)
    return band.reshape(columns_out * outputs, height, 1, columns * channels)


def _padding(x: Tensor, operator: Operator, height: int) -> str | None:
    """What says the pads above and below, or None."""
    top, _, bottom, _ = operator.attributes["pads"]
    if (top, bottom) == (0, 0):
        return "VALID"
    same = same_pads((x.shape[1], 1), (height, 1), (1, 1), (1, 1))
    return "SAME" if (top, 0, bottom, 0) == tuple(same) else None


def _repeated(tensor: Tensor, times: int) -> Quantization:
    """The parameters of the output channels, for every position."""
    found = tensor.quantization
    assert found is not None
    scale = np.broadcast_to(found.scale, (tensor.shape[0],))
    zero_point = np.zeros(tensor.shape[0] * times, np.int64)
    return Quantization(scale=np.tile(scale, times), zero_point=zero_point, axis=0)


def _reshaped(
    builder: FileBuilder, operator: Operator, index: int, role: str, like: Tensor, shape: tuple[int, ...]
) -> int:
    made = builder.activation(operator, role, like, shape)
    sizes = np.array(shape, np.int32)
    constant = builder.constant(operator, f"{role}_shape", sizes)
    builder.operator("RESHAPE", [index, constant], [made], options="ReshapeOptions", newShape=sizes)
    return made
