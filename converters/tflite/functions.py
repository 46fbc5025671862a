"""Functions of one value with a kernel of their own, LeakyRelu, PRelu, and norms along the last axis."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, is_quantized, require_output_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

# kind -> (operator, options, version for int8; None: its kernels compute in float alone)
FUNCTIONS: Mapping[str, tuple[str, str, int | None]] = MappingProxyType(
    {
        "Abs": ("ABS", "AbsOptions", 2),
        "Neg": ("NEG", "NegOptions", None),
        "Sqrt": ("SQRT", "", 1),
        "Rsqrt": ("RSQRT", "", 2),
        "Exp": ("EXP", "ExpOptions", 2),
        "Log": ("LOG", "", 2),
        "Floor": ("FLOOR", "", None),
        "Ceil": ("CEIL", "", None),
        "Round": ("ROUND", "", None),
        "Sin": ("SIN", "", None),
        "Cos": ("COS", "CosOptions", None),
        "Elu": ("ELU", "", 1),
    }
)
# Kinds whose integer kernel stops at a negative input.
NONNEGATIVE = frozenset({"Sqrt", "Rsqrt"})
LOG_SOFTMAX_OUTPUT = (1 / 16, 127)
L2_OUTPUT = (1 / 128, 0)
LARGEST_L2_EPSILON = 1e-12
"""The kernels divide by at least 1e-6, the root of this."""


def write_function(builder: FileBuilder, operator: Operator) -> None:
    """Write one of FUNCTIONS. Refuses (UnsupportedError) integers that its kernel cannot compute, and another slope."""
    code, options, int8 = FUNCTIONS[operator.kind]
    x = builder.graph.tensors[operator.inputs[0]]
    if is_quantized(x) and int8 is None:
        raise UnsupportedError(f"{operator.kind} '{operator.name}': TFLite has no integer kernel; keep it in float")
    if is_quantized(x) and operator.kind in NONNEGATIVE:
        low = np.iinfo(x.dtype).min
        if x.quantization is None or int(x.quantization.zero_point[0]) != low:
            raise UnsupportedError(
                f"{operator.kind} '{operator.name}': '{x.name}' can be negative, at which the kernel stops; "
                f"its zero point must be {low}"
            )
    if operator.kind == "Elu" and operator.attributes["alpha"] != 1:
        raise UnsupportedError(f"Elu '{operator.name}': alpha {operator.attributes['alpha']:g}; TFLite knows 1 only")
    _unary(builder, operator, code, version=int8_version(builder.graph, operator, int8=int8 or 1), options=options)


def write_gelu(builder: FileBuilder, operator: Operator) -> None:
    """Write GELU."""
    approximate = bool(operator.attributes["approximate"])
    version = int8_version(builder.graph, operator, int8=2)
    _unary(builder, operator, "GELU", version=version, options="GeluOptions", approximate=approximate)


def write_leaky_relu(builder: FileBuilder, operator: Operator) -> None:
    """Write LEAKY_RELU."""
    version = int8_version(builder.graph, operator, int8=2)
    alpha = operator.attributes["alpha"]
    _unary(builder, operator, "LEAKY_RELU", version=version, options="LeakyReluOptions", alpha=alpha)


def write_p_relu(builder: FileBuilder, operator: Operator) -> None:
    """Write PRELU with a constant slope. Refuses (UnsupportedError) a computed one."""
    slope = builder.graph.tensors[operator.inputs[1]]
    if slope.data is None:
        raise UnsupportedError(f"PRelu '{operator.name}': slope '{slope.name}' is not a constant")
    inputs = [builder.tensor(name) for name in operator.inputs]
    builder.operator("PRELU", inputs, [builder.tensor(operator.outputs[0])])


def write_log_softmax(builder: FileBuilder, operator: Operator) -> None:
    """Write a LOG_SOFTMAX over the last axis. Refuses (UnsupportedError) another axis."""
    _require_last_axis(builder, operator)
    scale, zero_point = LOG_SOFTMAX_OUTPUT
    require_output_parameters(builder.graph, operator, scale=scale, zero_point=zero_point)
    version = int8_version(builder.graph, operator, int8=2)
    _unary(builder, operator, "LOG_SOFTMAX", version=version, options="LogSoftmaxOptions")


def write_l2_norm(builder: FileBuilder, operator: Operator) -> None:
    """Write L2_NORMALIZATION over the last axis. Refuses (UnsupportedError) another axis and a telling epsilon."""
    _require_last_axis(builder, operator)
    if operator.attributes["epsilon"] > LARGEST_L2_EPSILON:
        raise UnsupportedError(
            f"L2Norm '{operator.name}': epsilon {operator.attributes['epsilon']:g} of the sum of squares; "
            f"TFLite's is {LARGEST_L2_EPSILON:g}"
        )
    scale, zero_point = L2_OUTPUT
    require_output_parameters(builder.graph, operator, scale=scale, zero_point=zero_point)
    version = int8_version(builder.graph, operator, int8=2)
    _unary(builder, operator, "L2_NORMALIZATION", version=version, options="L2NormOptions")


def write_hard_sigmoid(builder: FileBuilder, operator: Operator) -> None:
    """Write a float MUL, ADD and RELU_0_TO_1. Refuses (UnsupportedError) integers, which a convolution computes."""
    x = builder.graph.tensors[operator.inputs[0]]
    if is_quantized(x):
        raise UnsupportedError(
            f"HardSigmoid '{operator.name}': TFLite has no integer kernel; legalize makes a convolution of it"
        )
    current = builder.tensor(x.name)
    for code, role, value in (("MUL", "scaled", "alpha"), ("ADD", "moved", "beta")):
        constant = builder.constant(operator, value, np.array(operator.attributes[value], np.float32))
        made = builder.activation(operator, role, x, x.shape)
        options = f"{code.capitalize()}Options"
        builder.operator(code, [current, constant], [made], options=options)
        current = made
    builder.operator("RELU_0_TO_1", [current], [builder.tensor(operator.outputs[0])])


def _require_last_axis(builder: FileBuilder, operator: Operator) -> None:
    rank = len(builder.shape(operator.inputs[0]))
    if operator.attributes["axis"] not in (-1, rank - 1):
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': axis {operator.attributes['axis']}; TFLite knows the last one only"
        )


def _unary(
    builder: FileBuilder, operator: Operator, code: str, *, version: int, options: str = "", **fields: object
) -> None:
    inputs, outputs = [builder.tensor(operator.inputs[0])], [builder.tensor(operator.outputs[0])]
    builder.operator(code, inputs, outputs, version=version, options=options, **fields)
