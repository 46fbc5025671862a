"""Gemm -> FULLY_CONNECTED, weights (O, I) as they are."""

from converters.tflite.convolution import bias_index
from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_weights
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

KEEPING_VERSION = 5  # knows keep_num_dims


def write_gemm(builder: FileBuilder, operator: Operator) -> None:
    """Write a fully connected layer. Refuses (UnsupportedError) non-constant weights and an input of another rank."""
    weight = builder.graph.tensors[operator.inputs[1]]
    if weight.data is None:
        raise UnsupportedError(f"Gemm '{operator.name}': weight '{weight.name}' is not a constant")
    rank = len(builder.shape(operator.inputs[0]))
    if rank < 2:
        raise UnsupportedError(
            f"Gemm '{operator.name}': input of shape {builder.shape(operator.inputs[0])}; expected (..., I)"
        )
    require_weights(builder.graph, operator)
    builder.operator(
        "FULLY_CONNECTED",
        [builder.tensor(operator.inputs[0]), builder.tensor(weight.name), bias_index(builder, operator)],
        [builder.tensor(operator.outputs[0])],
        version=KEEPING_VERSION if rank > 2 else int8_version(builder.graph, operator, int8=4),
        options="FullyConnectedOptions",
        keepNumDims=rank > 2,
        fusedActivationFunction=builder.fused(operator),
    )
