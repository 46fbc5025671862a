"""How far a foreign bias moves when it is counted in input scale * weight scale, as integer kernels demand."""

from dataclasses import dataclass

import numpy as np

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Tensor

LAYERS = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True, kw_only=True)
class BiasRounding:
    """The largest change of a layer's bias, in real units and in steps of the layer's output."""

    operator: str
    change: float
    output_quanta: float


def bias_roundings(graph: Graph) -> tuple[BiasRounding, ...]:
    """The layers whose bias changes, in graph order; a bias that is already counted so changes by nothing.

    Requires: Quantize and Dequantize as operators.

    Raises:
        UnsupportedError: a bias that does not fit int32 at that scale, by the layer's name.
    """
    integers = {entry.outputs[0]: entry.inputs[0] for entry in graph.operators if entry.kind == "Dequantize"}
    quantized = {entry.inputs[0]: entry.outputs[0] for entry in graph.operators if entry.kind == "Quantize"}
    found = []
    for operator in graph.operators:
        if operator.kind not in LAYERS or len(operator.inputs) < 3 or not operator.inputs[2]:
            continue
        x = graph.tensors[integers.get(operator.inputs[0], operator.inputs[0])]
        output = graph.tensors[quantized.get(operator.outputs[0], operator.outputs[0])]
        rounding = _rounding(operator, x, graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[2]], output)
        if rounding is not None:
            found.append(rounding)
    return tuple(found)


def _rounding(operator: Operator, x: Tensor, weight: Tensor, bias: Tensor, output: Tensor) -> BiasRounding | None:
    if x.quantization is None or weight.quantization is None or output.quantization is None or bias.data is None:
        return None
    scale = (x.quantization.scale * weight.quantization.scale).astype(np.float32)
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': input scale * weight scale is {scale.min():g} to {scale.max():g}: "
            "no int32 bias can have that; give the layer other scales"
        )
    given = bias.data.astype(np.float64)
    if bias.quantization is not None:
        if bias.dtype == "int32" and np.array_equal(np.broadcast_to(bias.quantization.scale, scale.shape), scale):
            return None
        given = (given - bias.quantization.zero_point) * bias.quantization.scale.astype(np.float64)
    steps = given / scale.astype(np.float64)
    if (np.abs(steps) > np.iinfo(np.int32).max).any():
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': a bias of {np.abs(given).max():g} does not fit int32 at input scale * "
            "weight scale; the weights of that channel are almost zero, give it a larger weight scale"
        )
    change = float((np.abs(np.rint(steps) - steps) * scale).max(initial=0.0))
    if change == 0:
        return None
    quanta = change / float(output.quantization.scale[0])
    return BiasRounding(operator=operator.name, change=change, output_quanta=quanta)
