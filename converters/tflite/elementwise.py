"""Arithmetic of two operands with broadcasting: Add, Sub, Mul, Div with a fused activation, Min, Max and Pow."""

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, is_quantized, require_same_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator

CODES = {
    "Add": ("ADD", "AddOptions"),
    "Sub": ("SUB", "SubOptions"),
    "Mul": ("MUL", "MulOptions"),
    "Div": ("DIV", "DivOptions"),
    "Min": ("MINIMUM", "MaximumMinimumOptions"),
    "Max": ("MAXIMUM", "MaximumMinimumOptions"),
    "Pow": ("POW", "PowOptions"),
}
FLOAT_ONLY = {
    "Pow": "TFLite has no integer kernel",
    "Div": "TFLite's integer kernel stops at a divisor of 0; multiply by the reciprocal",
}
MOVING = frozenset({"Min", "Max"})
MOST_AXES = {"Add": 6, "Sub": 6, "Mul": 6, "Div": 5, "Min": 8, "Max": 8, "Pow": 4}
"""Axes that a kernel can broadcast over; equal shapes have no limit."""


def write_elementwise(builder: FileBuilder, operator: Operator) -> None:
    """Write one of CODES. Refuses (UnsupportedError) operands of different dtypes."""
    graph = builder.graph
    dtypes = {graph.tensors[name].dtype for name in (*operator.inputs, *operator.outputs)}
    if len(dtypes) != 1:
        raise UnsupportedError(f"{operator.kind} '{operator.name}': operands of {', '.join(sorted(dtypes))}")
    code, options = CODES[operator.kind]
    if operator.kind in FLOAT_ONLY and "float32" not in dtypes:
        raise UnsupportedError(f"{operator.kind} '{operator.name}': {FLOAT_ONLY[operator.kind]}; or keep it in float")
    if operator.kind in MOVING:
        require_same_parameters(graph, operator)
    _require_rank(graph, operator)
    version = int8_version(graph, operator, int8=2)
    if operator.kind == "Mul" and _rescale(graph, operator) >= 1:
        version = 3
    inputs = [builder.tensor(name) for name in operator.inputs]
    outputs = [builder.tensor(name) for name in operator.outputs]
    fields: dict[str, object] = {}
    if "activation" in operator.attributes:
        fields["fusedActivationFunction"] = builder.fused(operator)
    if "int16" in dtypes and operator.kind in ("Add", "Sub"):
        fields["potScaleInt16"] = False  # any scale; the schema's default promises powers of two
    builder.operator(code, inputs, outputs, version=version, options=options, **fields)


def _require_rank(graph: Graph, operator: Operator) -> None:
    shapes = [graph.tensors[name].shape for name in operator.inputs]
    rank = max(len(shape) for shape in shapes)
    if shapes[0] != shapes[1] and rank > MOST_AXES[operator.kind]:
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': broadcasting over {rank} axes; TFLite's kernel knows "
            f"{MOST_AXES[operator.kind]}"
        )


def _rescale(graph: Graph, operator: Operator) -> float:
    """s1 * s2 / s_out of a quantized product; below version 3 the kernel needs it under 1. 0 for float."""
    a, b, output = (graph.tensors[name] for name in (*operator.inputs, operator.outputs[0]))
    if not is_quantized(a) or a.quantization is None or b.quantization is None or output.quantization is None:
        return 0.0
    return float(a.quantization.scale[0] * b.quantization.scale[0] / output.quantization.scale[0])
