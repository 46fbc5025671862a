"""Activations that stand alone, and Softmax."""

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, is_quantized, require_output_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

# kind -> (operator, options, version for int8).
PLAIN = {
    "Relu": ("RELU", "", 2),
    "Relu6": ("RELU6", "", 2),
    "Sigmoid": ("LOGISTIC", "", 2),
    "Tanh": ("TANH", "", 2),
    "HardSwish": ("HARD_SWISH", "HardSwishOptions", 1),
}
# kind -> the parameters that TFLite's int8 kernel is fixed to.
FIXED_OUTPUT = {"Sigmoid": (1 / 256, -128), "Tanh": (1 / 128, 0), "Softmax": (1 / 256, -128)}
CLIPS = {(0.0, 6.0): "RELU6", (0.0, float("inf")): "RELU", (-1.0, 1.0): "RELU_N1_TO_1", (0.0, 1.0): "RELU_0_TO_1"}


def write_activation(builder: FileBuilder, operator: Operator) -> None:
    """Write one of PLAIN. Refuses (UnsupportedError) output parameters that its integer kernel cannot have."""
    if operator.kind in FIXED_OUTPUT:
        scale, zero_point = FIXED_OUTPUT[operator.kind]
        require_output_parameters(builder.graph, operator, scale=scale, zero_point=zero_point)
    code, options, int8 = PLAIN[operator.kind]
    _unary(builder, operator, code, options=options, version=int8_version(builder.graph, operator, int8=int8))


def write_clip(builder: FileBuilder, operator: Operator) -> None:
    """Write a clip to one of CLIPS. Refuses (UnsupportedError) other limits, for which TFLite has no operator."""
    limits = (float(operator.attributes["min"]), float(operator.attributes["max"]))
    if limits not in CLIPS:
        raise UnsupportedError(
            f"Clip '{operator.name}': limits {limits[0]:g} to {limits[1]:g}; TFLite has "
            + ", ".join(f"{low:g} to {high:g}" for low, high in CLIPS)
        )
    code = CLIPS[limits]
    if code in ("RELU_N1_TO_1", "RELU_0_TO_1") and is_quantized(builder.graph.tensors[operator.inputs[0]]):
        raise UnsupportedError(
            f"Clip '{operator.name}': {code} has no integer kernel; fuse it into a range or keep float"
        )
    _unary(builder, operator, code, version=int8_version(builder.graph, operator, int8=2))


def write_softmax(builder: FileBuilder, operator: Operator) -> None:
    """Write a softmax over the last axis. Refuses (UnsupportedError) another axis."""
    rank = len(builder.shape(operator.inputs[0]))
    if operator.attributes["axis"] not in (-1, rank - 1):
        raise UnsupportedError(
            f"Softmax '{operator.name}': axis {operator.attributes['axis']}; TFLite knows the last one only"
        )
    scale, zero_point = FIXED_OUTPUT["Softmax"]
    require_output_parameters(builder.graph, operator, scale=scale, zero_point=zero_point)
    version = int8_version(builder.graph, operator, int8=2)
    _unary(builder, operator, "SOFTMAX", options="SoftmaxOptions", version=version, beta=1.0)


def _unary(
    builder: FileBuilder, operator: Operator, code: str, *, version: int, options: str = "", **fields: object
) -> None:
    inputs, outputs = [builder.tensor(operator.inputs[0])], [builder.tensor(operator.outputs[0])]
    builder.operator(code, inputs, outputs, version=version, options=options, **fields)
