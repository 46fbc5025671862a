"""Activations that stand alone, and Softmax."""

from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import (
    int8_version,
    is_quantized,
    require_output_parameters,
    require_same_parameters,
)
from edge.errors import UnsupportedError
from edge.graph.graph import Operator, Tensor

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
    """Write a clip: one of CLIPS where TFLite has it, else MAXIMUM with the lower and MINIMUM with the upper limit."""
    low, high = (float(operator.attributes[key]) for key in ("min", "max"))
    x = builder.graph.tensors[operator.inputs[0]]
    code = CLIPS.get((low, high), "")
    if code in ("RELU", "RELU6") or (code and not is_quantized(x)):
        _unary(builder, operator, code, version=int8_version(builder.graph, operator, int8=2))
        return
    require_same_parameters(builder.graph, operator)
    version = int8_version(builder.graph, operator, int8=2)
    current = builder.tensor(x.name)
    limits = [(code, value) for code, value in (("MAXIMUM", low), ("MINIMUM", high)) if np.isfinite(value)]
    for index, (code, value) in enumerate(limits):
        last = index == len(limits) - 1
        target = builder.tensor(operator.outputs[0]) if last else builder.activation(operator, "raised", x, x.shape)
        limit = builder.constant(operator, code.lower(), stored_limit(x, value), x.quantization)
        builder.operator(code, [current, limit], [target], version=version, options="MaximumMinimumOptions")
        current = target


def stored_limit(tensor: Tensor, real: float) -> npt.NDArray[Any]:
    """A limit as the tensor stores it, a scalar: rint(float32(limit / scale) + zero_point), within the type."""
    if tensor.quantization is None:
        return np.array(real, tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    place = np.float32(real) / tensor.quantization.scale[0] + np.float32(tensor.quantization.zero_point[0])
    return np.array(np.rint(np.clip(place, limits.min, limits.max)), tensor.dtype)


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
