"""Operators that only move values: Concat, Pad, Reshape, Transpose and Slice."""

from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_same_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import Operator, Tensor


def write_concat(builder: FileBuilder, operator: Operator) -> None:
    """Write a concatenation; all inputs have the output's parameters."""
    require_same_parameters(builder.graph, operator)
    builder.operator(
        "CONCATENATION",
        [builder.tensor(name) for name in operator.inputs],
        [builder.tensor(operator.outputs[0])],
        version=int8_version(builder.graph, operator, int8=2),
        options="ConcatenationOptions",
        axis=operator.attributes["axis"],
    )


def write_pad(builder: FileBuilder, operator: Operator) -> None:
    """Write a constant pad: PAD for zeros, PADV2 for another value that the tensor can hold."""
    require_same_parameters(builder.graph, operator)
    tensor = builder.graph.tensors[operator.inputs[0]]
    pads = builder.constant(operator, "pads", np.array(operator.attributes["pads"], np.int32))
    inputs, code, options = [builder.tensor(tensor.name), pads], "PAD", "PadOptions"
    if operator.attributes["value"] != 0:
        value = _stored(operator, tensor, operator.attributes["value"])
        inputs.append(builder.constant(operator, "value", value, tensor.quantization))
        code, options = "PADV2", "PadV2Options"
    version = 4 if len(tensor.shape) > 4 else int8_version(builder.graph, operator, int8=2)
    builder.operator(code, inputs, [builder.tensor(operator.outputs[0])], version=version, options=options)


def write_reshape(builder: FileBuilder, operator: Operator) -> None:
    """Write a reshape to a fixed shape, given both as an operand and as an option, as runtimes differ."""
    require_same_parameters(builder.graph, operator)
    shape = np.array(operator.attributes["shape"], np.int32)
    inputs = [builder.tensor(operator.inputs[0]), builder.constant(operator, "shape", shape)]
    outputs = [builder.tensor(operator.outputs[0])]
    builder.operator("RESHAPE", inputs, outputs, options="ReshapeOptions", newShape=shape)


def write_transpose(builder: FileBuilder, operator: Operator) -> None:
    """Write a transpose."""
    require_same_parameters(builder.graph, operator)
    perm = np.array(operator.attributes["perm"], np.int32)
    inputs = [builder.tensor(operator.inputs[0]), builder.constant(operator, "perm", perm)]
    version = {5: 4, 6: 6}.get(perm.size, int8_version(builder.graph, operator, int8=2))
    outputs = [builder.tensor(operator.outputs[0])]
    builder.operator("TRANSPOSE", inputs, outputs, version=version, options="TransposeOptions")


def write_slice(builder: FileBuilder, operator: Operator) -> None:
    """Write a slice: SLICE, or STRIDED_SLICE where a stride is not 1."""
    require_same_parameters(builder.graph, operator)
    begin, end, strides = (operator.attributes[key] for key in ("begin", "end", "strides"))
    x, outputs = builder.tensor(operator.inputs[0]), [builder.tensor(operator.outputs[0])]
    version = int8_version(builder.graph, operator, int8=2)
    first = builder.constant(operator, "begin", np.array(begin, np.int32))
    if all(stride == 1 for stride in strides):
        size = np.array(builder.shape(operator.outputs[0]), np.int32)
        inputs = [x, first, builder.constant(operator, "size", size)]
        builder.operator("SLICE", inputs, outputs, version=5 if size.size > 4 else version, options="SliceOptions")
        return
    # Going backwards, an end below 0 means "to the first one", which STRIDED_SLICE says by its mask.
    mask = sum(1 << axis for axis, (stop, stride) in enumerate(zip(end, strides, strict=True)) if stride < 0 > stop)
    last = builder.constant(operator, "end", np.array(end, np.int32))
    inputs = [x, first, last, builder.constant(operator, "strides", np.array(strides, np.int32))]
    version = 4 if len(begin) > 4 else version
    builder.operator("STRIDED_SLICE", inputs, outputs, version=version, options="StridedSliceOptions", endMask=mask)


def _stored(operator: Operator, tensor: Tensor, real: float) -> npt.NDArray[Any]:
    """The value as the tensor stores it, shape (1,); a quantized one must be able to hold it within half a step."""
    if tensor.quantization is None:
        return np.array([real], tensor.dtype)
    scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0])
    stored, limits = round(real / scale) + zero_point, np.iinfo(tensor.dtype)
    if not limits.min <= stored <= limits.max:
        raise UnsupportedError(
            f"Pad '{operator.name}': value {real:g} is outside what '{tensor.name}' can hold "
            f"(scale {scale:g}, zero point {zero_point})"
        )
    return np.array([stored], tensor.dtype)
