"""Which operators an integer kernel computes: the others stay in float between a Dequantize and a Quantize."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from edge.graph.graph import Operator, Tensor

# Kinds with a kernel for int16 activations that the simulation knows (edge.quantization.integer_ops.int16_table).
INT16_KINDS = frozenset(
    {
        *("Conv", "Gemm", "Add", "Sub", "Mul", "AveragePool", "MaxPool", "Mean", "Resize", "Softmax", "ArgMax"),
        *("Concat", "Pad", "Reshape", "Transpose", "Slice", "Relu", "Relu6", "Clip", "Sigmoid", "Tanh", "Cast"),
        *("Quantize", "Dequantize"),
    }
)

Rule = Callable[[Operator, Mapping[str, Tensor]], str]


def integer_fault(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    """Why no integer kernel of LiteRT computes an operator over these tensors; '' where one does.

    Args:
        operator: of a canonical kind, its inputs and output quantized.
        tensors: the graph's, with their parameters.
    """
    if any(tensors[name].dtype == "int16" for name in (*operator.inputs, *operator.outputs) if name):
        return "" if operator.kind in INT16_KINDS else "LiteRT has no kernel for int16 activations"
    rule = RULES.get(operator.kind)
    return "" if rule is None else rule(operator, tensors)


def _never(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    return "TFLite has no integer kernel"


def _quotient(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    """A constant divisor becomes a factor; LiteRT's kernel stops at a divisor of 0, which no computed one excludes."""
    divisor = tensors[operator.inputs[1]]
    if divisor.data is None:
        return "TFLite's integer kernel stops at a divisor of 0"
    if divisor.data.size != 1:
        return "TFLite's integer kernel overflows; divide by one number, or multiply by the reciprocals"
    zero_point = 0 if divisor.quantization is None else int(divisor.quantization.zero_point[0])
    return "division by 0" if int(divisor.data.reshape(())) == zero_point else ""


def _root(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    x = tensors[operator.inputs[0]]
    low = np.iinfo(x.dtype).min
    if x.quantization is None or int(x.quantization.zero_point[0]) != low:
        return f"the input may be negative, at which TFLite's kernel stops; its zero point would have to be {low}"
    return ""


def _elu(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    return "" if operator.attributes["alpha"] == 1 else "TFLite knows alpha 1 only"


def _leaky_relu(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    """XNNPACK takes ratios of scales from 2**-8 to 2**7, the slope included."""
    x, y = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    if x.dtype != "int8" or x.quantization is None or y.quantization is None:
        return ""
    above = x.quantization.scale[0] / y.quantization.scale[0]
    below = above * np.float32(operator.attributes["alpha"])
    if 2.0**-8 <= above <= 2.0**7 and abs(below) >= 2.0**-8 and -127.99609375 <= below <= 128:
        return ""
    return f"scale ratios {above:.3g} and, below 0, {below:.3g}; exact from 2**-8 to 2**7"


def _hard_swish(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    """LiteRT's 16-bit kernel refuses ratios of scales from 128 on; far below 1 its steps are not known exactly."""
    x, y = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    if x.quantization is None or y.quantization is None:
        return ""
    ratio = x.quantization.scale[0] / y.quantization.scale[0]
    return "" if 2.0**-8 <= ratio < 2.0**7 else f"input scale / output scale is {ratio:.3g}; exact from 2**-8 to 2**7"


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(("Pow", "Floor", "Ceil", "Round", "Sin", "Cos"), _never),
        "Div": _quotient,
        "Sqrt": _root,
        "Rsqrt": _root,
        "Elu": _elu,
        "LeakyRelu": _leaky_relu,
        "HardSwish": _hard_swish,
    }
)
