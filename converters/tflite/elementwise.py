"""Add, Sub and Mul -> ADD, SUB and MUL, with broadcasting and a fused activation."""

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, is_quantized
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator

CODES = {"Add": ("ADD", "AddOptions"), "Sub": ("SUB", "SubOptions"), "Mul": ("MUL", "MulOptions")}


def write_elementwise(builder: FileBuilder, operator: Operator) -> None:
    """Write one of CODES. Refuses (UnsupportedError) operands of different dtypes."""
    graph = builder.graph
    dtypes = {graph.tensors[name].dtype for name in (*operator.inputs, *operator.outputs)}
    if len(dtypes) != 1:
        raise UnsupportedError(f"{operator.kind} '{operator.name}': operands of {', '.join(sorted(dtypes))}")
    code, options = CODES[operator.kind]
    version = int8_version(graph, operator, int8=2)
    if operator.kind == "Mul" and _rescale(graph, operator) >= 1:
        version = 3
    inputs = [builder.tensor(name) for name in operator.inputs]
    outputs = [builder.tensor(name) for name in operator.outputs]
    fused = builder.fused(operator)
    builder.operator(code, inputs, outputs, version=version, options=options, fusedActivationFunction=fused)


def _rescale(graph: Graph, operator: Operator) -> float:
    """s1 * s2 / s_out of a quantized product; below version 3 the kernel needs it under 1. 0 for float."""
    a, b, output = (graph.tensors[name] for name in (*operator.inputs, operator.outputs[0]))
    if not is_quantized(a) or a.quantization is None or b.quantization is None or output.quantization is None:
        return 0.0
    return float(a.quantization.scale[0] * b.quantization.scale[0] / output.quantization.scale[0])
