"""Weights with a zero point: re-expressed without one where that is exact, else the whole graph becomes uint8.

TFLite's int8 kernels multiply by q alone and demand zero point 0. Its uint8 kernels subtract a zero point, one per
tensor. Tools write asymmetric weights (ONNX Runtime does by default for uint8 ones).

XNNPACK's int8 kernels for aarch64 without dot product add two products in 16 bits: two weights of -128 in one output
channel overflow there when both meet an input of -128 (measured on an emulated Cortex-A72: up to 240 steps off). Its
uint8 kernels do not.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from converters.passes.canonical_int8 import uint8_activations
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization, Tensor

LAYERS = ("Conv", "ConvTranspose", "Gemm")
SHIFT = 128


def asymmetric_weights(graph: Graph) -> Graph:
    """Bring every integer weight into a form that TFLite's kernels compute.

    A weight whose q - zero_point all lie in [-128, 127] is stored as that, with zero point 0. If another weight is
    left and every weight has one scale and zero point, all weights and activations become uint8 (q + 128), which
    changes no real number. The same is done, if it can be, for a weight that overflows on aarch64 (`may_overflow`).

    Requires: int8 activations and weights (see `canonical_int8`).
    Ensures: the same real values.

    Raises:
        UnsupportedError: such a weight beside one with a scale per channel, or with a zero point per channel, by name.
    """
    layers = [operator for operator in graph.operators if operator.kind in LAYERS and _is_integer(graph, operator)]
    weights = {operator.inputs[1]: _centred(graph.tensors[operator.inputs[1]]) for operator in layers}
    graph = graph.with_tensors(weights.values())
    left = [operator for operator in layers if _has_zero_point(graph.tensors[operator.inputs[1]])]
    per_channel = [operator for operator in layers if _per_tensor(graph.tensors[operator.inputs[1]]) is None]
    if not left and (per_channel or not any(may_overflow(graph.tensors[name]) for name in weights)):
        return graph
    if per_channel:
        raise UnsupportedError(
            f"{left[0].kind} '{left[0].name}': weight '{left[0].inputs[1]}' has a zero point; only kernels for a uint8 "
            f"model with one scale per weight compute that, and {per_channel[0].kind} '{per_channel[0].name}' has a "
            "scale per channel; quantize the weights symmetrically (int8, zero point 0)"
        )
    biases = {operator.inputs[2] for operator in layers if len(operator.inputs) > 2 and operator.inputs[2]}
    changed = [_unsigned(graph.tensors[name]) for name in weights]
    changed += [replace(graph.tensors[name], quantization=_per_tensor(graph.tensors[name])) for name in biases]
    return uint8_activations(graph.with_tensors(changed))


def may_overflow(weight: Tensor) -> bool:
    """Whether an output channel of an int8 weight (O, ...) holds -128 twice."""
    if weight.data is None or weight.dtype != "int8":
        return False
    return bool((np.count_nonzero(weight.data == -SHIFT, axis=tuple(range(1, weight.data.ndim))) > 1).any())


def _is_integer(graph: Graph, operator: Operator) -> bool:
    weight = graph.tensors[operator.inputs[1]]
    return weight.data is not None and weight.dtype == "int8" and weight.quantization is not None


def _has_zero_point(weight: Tensor) -> bool:
    return weight.quantization is not None and bool(weight.quantization.zero_point.any())


def _centred(weight: Tensor) -> Tensor:
    """The weight without a zero point where its values allow, else as it is."""
    assert weight.data is not None and weight.quantization is not None
    if not _has_zero_point(weight):
        return weight
    axis = weight.quantization.axis
    form = [1] * weight.data.ndim
    if axis is not None:
        form[axis] = -1
    values = weight.data.astype(np.int64) - weight.quantization.zero_point.reshape(form)
    if values.min(initial=0) < -SHIFT or values.max(initial=0) >= SHIFT:
        return weight
    zeros = np.zeros_like(weight.quantization.zero_point)
    return replace(weight, data=values.astype(np.int8), quantization=_with(weight.quantization, zeros))


def _with(quantization: Quantization, zero_point: npt.NDArray[np.int64]) -> Quantization:
    return Quantization(scale=quantization.scale, zero_point=zero_point, axis=quantization.axis)


def _per_tensor(weight: Tensor) -> Quantization | None:
    """The one scale and zero point that all channels share; None where they differ."""
    assert weight.quantization is not None
    scale, zero_point = weight.quantization.scale, weight.quantization.zero_point
    if (scale != scale[0]).any() or (zero_point != zero_point[0]).any():
        return None
    return Quantization(scale=scale[:1], zero_point=zero_point[:1])


def _unsigned(weight: Tensor) -> Tensor:
    quantization = _per_tensor(weight)
    assert weight.data is not None and quantization is not None
    data = (weight.data.astype(np.int16) + SHIFT).astype(np.uint8)
    zero_point = quantization.zero_point + SHIFT
    return replace(weight, dtype="uint8", data=data, quantization=_with(quantization, zero_point))
