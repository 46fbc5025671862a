"""Quantize and Dequantize -> QUANTIZE and DEQUANTIZE, where a float tensor really is an input or an output."""

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version
from edge.graph.graph import Operator


def write_quantize(builder: FileBuilder, operator: Operator) -> None:
    """Write float -> integer, or integer -> integer with other parameters."""
    inputs, outputs = [builder.tensor(operator.inputs[0])], [builder.tensor(operator.outputs[0])]
    builder.operator("QUANTIZE", inputs, outputs, options="QuantizeOptions")


def write_dequantize(builder: FileBuilder, operator: Operator) -> None:
    """Write integer -> float."""
    inputs, outputs = [builder.tensor(operator.inputs[0])], [builder.tensor(operator.outputs[0])]
    version = int8_version(builder.graph, operator, int8=2)
    builder.operator("DEQUANTIZE", inputs, outputs, version=version, options="DequantizeOptions")
