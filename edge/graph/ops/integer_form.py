"""Which operators an integer kernel computes: the others stay in float between a Dequantize and a Quantize."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from edge.graph.graph import Operator, Tensor
from edge.graph.ops.kernel_limits import LAYERS, limit_fault

# Kinds with a kernel for int16 activations that the simulation knows (edge.execution.kernels.int16_table).
INT16_KINDS = frozenset(
    {
        *("Conv", "Gemm", "Add", "Sub", "Mul", "AveragePool", "MaxPool", "Mean", "Resize", "Softmax", "ArgMax"),
        *("Concat", "Pad", "Reshape", "Transpose", "Slice", "Relu", "Relu6", "Clip", "Sigmoid", "Tanh", "Cast"),
        *("Quantize", "Dequantize", "Max", "Min"),
    }
)

# Kinds that `legalize` takes through a coarser tensor where their scales leave the table of limits.
COARSER = ("Add", "Sub", "Mul")

Rule = Callable[[Operator, Mapping[str, Tensor]], str]


def integer_fault(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    """Why no integer kernel of LiteRT computes an operator over these tensors; '' where one does.

    A layer outside the limits is integer all the same: its weights would be lost on the way to float, and whoever
    writes it names it with its scales.

    Args:
        operator: of a canonical kind, its inputs and output quantized.
        tensors: the graph's, with their parameters.
    """
    if any(tensors[name].dtype == "int16" for name in (*operator.inputs, *operator.outputs) if name):
        missing = operator.kind not in INT16_KINDS
        return "LiteRT has no kernel for int16 activations" if missing else limit_fault(operator, tensors)
    rule = RULES.get(operator.kind)
    fault = "" if rule is None else rule(operator, tensors)
    return fault or ("" if operator.kind in (*COARSER, *LAYERS) else limit_fault(operator, tensors))


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


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(("Pow", "Floor", "Ceil", "Round", "Sin", "Cos"), _never),
        "Div": _quotient,
        "Sqrt": _root,
        "Rsqrt": _root,
        "Elu": _elu,
    }
)
