"""What TFLite's integer kernels demand of quantization parameters, checked before anything is written."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.ops.kernel_limits import LAYERS, limit_fault

QUANTIZED_DTYPES = ("int8", "uint8", "int16")
# dtype of the activations -> dtype of the weights that TFLite's integer kernels multiply them by.
WEIGHT_DTYPES: Mapping[str, str] = MappingProxyType(
    {"float32": "float32", "int8": "int8", "uint8": "uint8", "int16": "int8"}
)
# dtype of the activations -> dtype of the bias in the file: 16x8 kernels add into 64 bits.
BIAS_DTYPES: Mapping[str, str] = MappingProxyType({"int8": "int32", "uint8": "int32", "int16": "int64"})

# The kernels refuse a bias scale further than 1e-6 (relative) from the product of the input's and the weight's scale.
BIAS_SCALE_TOLERANCE = 1e-6

# The output that the int16 kernels of Softmax, Sigmoid and Tanh are fixed to.
INT16_FIXED_OUTPUT = (1 / 32768, 0)


def is_quantized(tensor: Tensor) -> bool:
    """Whether a tensor holds 8- or 16-bit integers that stand for real numbers."""
    return tensor.dtype in QUANTIZED_DTYPES and tensor.quantization is not None


def int8_version(graph: Graph, operator: Operator, *, int8: int, other: int = 1) -> int:
    """The operator version: `int8` when the first input is an int8 tensor, `other` for float and uint8."""
    return int8 if graph.tensors[operator.inputs[0]].dtype == "int8" else other


def require_same_parameters(graph: Graph, operator: Operator) -> None:
    """Refuse (UnsupportedError) a data-moving operator whose inputs and output differ in dtype or parameters."""
    output = graph.tensors[operator.outputs[0]]
    for name in operator.inputs:
        tensor = graph.tensors[name]
        if tensor.dtype != output.dtype:
            raise UnsupportedError(
                f"{operator.kind} '{operator.name}': {tensor.dtype} in and {output.dtype} out; TFLite needs one dtype"
            )
        if output.quantization is None and tensor.quantization is None:
            continue
        if tensor.quantization is None or not tensor.quantization.same_as(output.quantization):
            raise UnsupportedError(
                f"{operator.kind} '{operator.name}': input '{name}' has {_said(tensor.quantization)}, the output "
                f"{_said(output.quantization)}; TFLite needs the same, tie them when quantizing"
            )


def require_limits(graph: Graph, operator: Operator) -> None:
    """Refuse (UnsupportedError) an operator outside `edge.graph.ops.kernel_limits`, over activations of several scales.

    LiteRT would refuse the file, compute what the simulation does not know, or end the process.
    """
    for name in (*operator.inputs[: 1 if operator.kind in LAYERS else None], *operator.outputs):
        quantization = graph.tensors[name].quantization if name else None
        if quantization is not None and quantization.scale.size != 1:
            raise UnsupportedError(
                f"{operator.kind} '{operator.name}': activation '{name}' has {quantization.scale.size} scales; "
                "TFLite has one per activation, quantize it per tensor"
            )
    if fault := limit_fault(operator, graph.tensors):
        raise UnsupportedError(f"{operator.kind} '{operator.name}': {fault}")


def require_output_parameters(graph: Graph, operator: Operator, *, scale: float, zero_point: int) -> None:
    """Refuse (UnsupportedError) a quantized output that does not have the parameters its kernel is fixed to."""
    output = graph.tensors[operator.outputs[0]]
    if not is_quantized(output) or output.quantization is None:
        return
    expected = zero_point + (128 if output.dtype == "uint8" else 0)
    if output.dtype == "int16":
        scale, expected = INT16_FIXED_OUTPUT
    if float(output.quantization.scale[0]) != scale or int(output.quantization.zero_point[0]) != expected:
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': the output has {_said(output.quantization)}; "
            f"TFLite's kernel is fixed to scale {scale:g}, zero point {expected}"
        )


def require_weights(graph: Graph, operator: Operator) -> None:
    """Refuse (UnsupportedError) parameters of input, weight and bias that TFLite's integer kernels do not compute.

    int8 weights are symmetric and per tensor or per output channel; uint8 ones are per tensor; the bias is int32 (over
    int16 activations int64 too) with zero point 0 and scale s_in * s_w. int16 activations have zero point 0.
    """
    x, weight, output = (graph.tensors[name] for name in (*operator.inputs[:2], operator.outputs[0]))
    where = f"{operator.kind} '{operator.name}'"
    if x.dtype != output.dtype or WEIGHT_DTYPES.get(x.dtype) != weight.dtype:
        raise UnsupportedError(
            f"{where}: {x.dtype} input, {weight.dtype} weight and {output.dtype} output do not go together"
        )
    if weight.dtype == "float32":
        return
    if x.quantization is None or weight.quantization is None or output.quantization is None:
        raise UnsupportedError(f"{where}: an integer tensor without a scale")
    if weight.dtype == "int8" and weight.quantization.zero_point.any():
        raise UnsupportedError(
            f"{where}: weight '{weight.name}' has a zero point other than 0; TFLite needs symmetric int8 weights"
        )
    if weight.quantization.axis not in (None, 0) or (weight.dtype == "uint8" and weight.quantization.axis is not None):
        raise UnsupportedError(f"{where}: weight '{weight.name}' is quantized along axis {weight.quantization.axis}")
    _require_bias(graph, operator, x.quantization, weight.quantization)


def bias_quantization(x: Quantization, weight: Quantization) -> Quantization:
    """Parameters of an int32 bias: scale s_in * s_w, rounded to float32, zero point 0, along the weight's axis."""
    scale = (x.scale * weight.scale).astype(np.float32)
    return Quantization(scale=scale, zero_point=np.zeros(scale.size, np.int64), axis=weight.axis)


def _require_bias(graph: Graph, operator: Operator, x: Quantization, weight: Quantization) -> None:
    if len(operator.inputs) < 3 or not operator.inputs[2]:
        return
    bias = graph.tensors[operator.inputs[2]]
    where = f"{operator.kind} '{operator.name}'"
    x_dtype = graph.tensors[operator.inputs[0]].dtype
    if (
        bias.dtype not in ("int32", BIAS_DTYPES[x_dtype])
        or bias.quantization is None
        or bias.quantization.zero_point.any()
    ):
        raise UnsupportedError(
            f"{where}: bias '{bias.name}' must be int32 with a scale and zero point 0, not {bias.dtype}"
        )
    expected = bias_quantization(x, weight).scale.astype(np.float64)
    found = bias.quantization.scale.astype(np.float64)
    if found.size not in (1, expected.size):
        raise UnsupportedError(f"{where}: {found.size} scales of bias '{bias.name}' for {expected.size} of the weight")
    worst = float(np.max(np.abs(found / expected - 1)))
    if worst > BIAS_SCALE_TOLERANCE:
        raise UnsupportedError(
            f"{where}: the scale of bias '{bias.name}' is off by {worst:.1e} from input scale * weight scale; "
            f"TFLite allows {BIAS_SCALE_TOLERANCE:g}"
        )


def _said(quantization: Quantization | None) -> str:
    if quantization is None:
        return "no parameters"
    if quantization.axis is not None:
        return f"{quantization.scale.size} scales along axis {quantization.axis}"
    return f"scale {quantization.scale[0]:.9g}, zero point {quantization.zero_point[0]}"
