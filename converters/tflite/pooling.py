"""AveragePool, MaxPool and Mean -> AVERAGE_POOL_2D, MAX_POOL_2D and MEAN."""

from collections.abc import Sequence

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_same_parameters
from converters.tflite.pool_parts import write_pool_in_parts
from converters.tflite.windows import NO_PADS, padded_input, padding_name, write_pad
from edge.graph.graph import Operator


def write_average_pool(builder: FileBuilder, operator: Operator) -> None:
    """Write an average pool; TFLite divides by the pixels inside the image.

    Padding that counts is written as PAD; padding that does not and is not SAME by parts (see `pool_parts`).
    """
    kernel_hw = operator.attributes["kernel"]
    if operator.attributes["count_include_pad"] and tuple(operator.attributes["pads"]) != NO_PADS:
        padding_name(builder, operator, kernel_hw)
        x, padding = write_pad(builder, operator), int(builder.schema.Padding.VALID)
    elif padding_name(builder, operator, kernel_hw) is None:
        require_same_parameters(builder.graph, operator)
        valid = int(builder.schema.Padding.VALID)

        def pool(x: int, y: int, kernel_hw: tuple[int, int]) -> None:
            _pool(builder, operator, "AVERAGE_POOL_2D", (x, y), kernel_hw, valid)

        write_pool_in_parts(builder, operator, pool)
        return
    else:
        x, padding = padded_input(builder, operator, kernel_hw)
    _write_pool(builder, operator, "AVERAGE_POOL_2D", x, padding)


def write_max_pool(builder: FileBuilder, operator: Operator) -> None:
    """Write a max pool; pads that are not SAME become a PAD of the smallest value.

    For an int8 input whose zero point is -128 that is a plain PAD; otherwise PADV2.
    """
    kernel_hw = operator.attributes["kernel"]
    if padding_name(builder, operator, kernel_hw) is not None:
        x, padding = padded_input(builder, operator, kernel_hw)
    else:
        x, padding = _pad_with_smallest(builder, operator), int(builder.schema.Padding.VALID)
    _write_pool(builder, operator, "MAX_POOL_2D", x, padding)


def write_mean(builder: FileBuilder, operator: Operator) -> None:
    """Write a mean over axes."""
    axes = builder.constant(operator, "axes", np.array(operator.attributes["axes"], np.int32))
    builder.operator(
        "MEAN",
        [builder.tensor(operator.inputs[0]), axes],
        [builder.tensor(operator.outputs[0])],
        version=int8_version(builder.graph, operator, int8=2),
        options="ReducerOptions",
        keepDims=bool(operator.attributes["keepdims"]),
    )


def _write_pool(builder: FileBuilder, operator: Operator, code: str, x: int, padding: int) -> None:
    require_same_parameters(builder.graph, operator)
    ends = (x, builder.tensor(operator.outputs[0]))
    _pool(builder, operator, code, ends, operator.attributes["kernel"], padding)


def _pool(
    builder: FileBuilder, operator: Operator, code: str, ends: tuple[int, int], kernel_hw: Sequence[int], padding: int
) -> None:
    strides = operator.attributes["strides"]
    builder.operator(
        code,
        [ends[0]],
        [ends[1]],
        version=int8_version(builder.graph, operator, int8=2),
        options="Pool2DOptions",
        padding=padding,
        filterHeight=kernel_hw[0],
        filterWidth=kernel_hw[1],
        strideH=strides[0],
        strideW=strides[1],
        fusedActivationFunction=builder.fused(operator),
    )


def _pad_with_smallest(builder: FileBuilder, operator: Operator) -> int:
    tensor = builder.graph.tensors[operator.inputs[0]]
    top, left, bottom, right = operator.attributes["pads"]
    integer = np.issubdtype(np.dtype(tensor.dtype), np.integer)
    smallest = np.iinfo(tensor.dtype).min if integer else -np.inf
    if integer and tensor.quantization is not None and int(tensor.quantization.zero_point[0]) == smallest:
        return write_pad(builder, operator)
    batch, height, width, channels = tensor.shape
    padded = builder.activation(
        operator, "padded", tensor, (batch, height + top + bottom, width + left + right, channels)
    )
    pads = np.array([(0, 0), (top, bottom), (left, right), (0, 0)], np.int32)
    value = builder.constant(operator, "smallest", np.array([smallest], tensor.dtype), tensor.quantization)
    inputs = [builder.tensor(tensor.name), builder.constant(operator, "pads", pads), value]
    builder.operator("PADV2", inputs, [padded], version=2 if tensor.dtype == "int8" else 1, options="PadV2Options")
    return padded
