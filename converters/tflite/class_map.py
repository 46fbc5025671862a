"""ArgMax -> ARG_MAX, with a RESHAPE behind it where the axis is kept and a CAST before it over int16."""

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version
from edge.errors import UnsupportedError
from edge.graph.graph import Operator, Tensor


def write_arg_max(builder: FileBuilder, operator: Operator) -> None:
    """Write the index of the largest value along an axis. Refuses (UnsupportedError) outputs but int32 and int64."""
    output = builder.graph.tensors[operator.outputs[0]]
    if output.dtype not in ("int32", "int64"):
        raise UnsupportedError(f"ArgMax '{operator.name}': output of {output.dtype}; TFLite gives int32 or int64")
    axis = operator.attributes["axis"]
    kept = bool(operator.attributes["keepdims"])
    shape = tuple(size for index, size in enumerate(output.shape) if index != axis) if kept else output.shape
    plain = Tensor(name=output.name, shape=shape, dtype=output.dtype)
    target = builder.activation(operator, "indices", plain, shape) if kept else builder.tensor(output.name)
    builder.operator(
        "ARG_MAX",
        [_comparable(builder, operator), builder.constant(operator, "axis", np.array(axis, np.int32))],
        [target],
        version=int8_version(builder.graph, operator, int8=2),
        options="ArgMaxOptions",
        outputType=getattr(builder.schema.TensorType, output.dtype.upper()),
    )
    if kept:
        new_shape = np.array(output.shape, np.int32)
        inputs = [target, builder.constant(operator, "shape", new_shape)]
        builder.operator("RESHAPE", inputs, [builder.tensor(output.name)], options="ReshapeOptions", newShape=new_shape)


def _comparable(builder: FileBuilder, operator: Operator) -> int:
    """The input as a type that ARG_MAX takes: int16 becomes int32, the same integers."""
    tensor = builder.graph.tensors[operator.inputs[0]]
    if tensor.dtype != "int16":
        return builder.tensor(tensor.name)
    types = builder.schema.TensorType
    wide = builder.activation(operator, "int32", Tensor(name="", shape=tensor.shape, dtype="int32"), tensor.shape)
    builder.operator(
        "CAST",
        [builder.tensor(tensor.name)],
        [wide],
        options="CastOptions",
        inDataType=types.INT16,
        outDataType=types.INT32,
    )
    return wide
