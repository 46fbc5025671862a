"""Quantize and Dequantize -> QUANTIZE and DEQUANTIZE, where a float tensor really is an input or an output."""

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version
from edge.errors import UnsupportedError
from edge.graph.graph import Operator


def write_quantize(builder: FileBuilder, operator: Operator) -> None:
    """Write float -> integer, or integer -> integer with other parameters.

    Refuses (UnsupportedError) parameters along an axis: TFLite's activations have one scale.
    """
    _refuse_axis(builder, operator, operator.outputs[0])
    inputs, outputs = [builder.tensor(operator.inputs[0])], [builder.tensor(operator.outputs[0])]
    builder.operator("QUANTIZE", inputs, outputs, options="QuantizeOptions")


def write_dequantize(builder: FileBuilder, operator: Operator) -> None:
    """Write integer -> float. Refuses (UnsupportedError) parameters along an axis."""
    _refuse_axis(builder, operator, operator.inputs[0])
    inputs, outputs = [builder.tensor(operator.inputs[0])], [builder.tensor(operator.outputs[0])]
    version = int8_version(builder.graph, operator, int8=2)
    builder.operator("DEQUANTIZE", inputs, outputs, version=version, options="DequantizeOptions")


def _refuse_axis(builder: FileBuilder, operator: Operator, name: str) -> None:
    quantization = builder.graph.tensors[name].quantization
    if quantization is not None and quantization.axis is not None:
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': activation '{name}' has {quantization.scale.size} scales; "
            "TFLite has one per activation, quantize it per tensor"
        )
