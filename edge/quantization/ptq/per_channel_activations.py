"""Activations with a scale per channel, as NNCF gives the inputs of depthwise convolutions: made per tensor, exactly.

TFLite's kernels have one scale per activation. Between a layer that makes each channel by itself and a depthwise
convolution that reads each channel by itself, the scale of a channel can move into their weights: the integers of the
activation, of both weights and of both biases stay as they are, only scales change.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

Scales = npt.NDArray[np.float64]


def per_channel_activations(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """Give every per-channel activation between a Conv and depthwise Convs the largest of its scales.

    With s the new scale and s_c a channel's: the producer's weight and bias of channel c are multiplied by s / s_c,
    the readers' weight by s_c / s, all of it in their scales.

    Requires: Quantize and Dequantize as operators; quantized weights.
    Ensures: the same integers and, up to the float32 rounding of the scales, the same real output. Channels of other
    zero points than the lowest (never negative behind a rectifier) are counted from the lowest, and clamp later than
    in the source. An activation that this cannot be done for keeps its scales.

    Returns:
        The graph, and a sentence per activation that was changed.
    """
    said: list[str] = []
    tensors = dict(graph.tensors)
    operators = {operator.name: operator for operator in graph.operators}
    for quantizer in graph.operators:
        if quantizer.kind != "Quantize":
            continue
        integers = tensors[quantizer.outputs[0]]
        quantization = integers.quantization
        if quantization is None or quantization.axis != 1 or quantization.scale.size == 1 or integers.data is not None:
            continue
        found = _around(graph, quantizer, operators)
        if found is None:
            continue
        producer, readers = found
        zero_point = quantization.zero_point.min(keepdims=True)
        moved = int(np.count_nonzero(quantization.zero_point != zero_point))
        if moved and producer.attributes["activation"] == "none":
            continue
        if _cuts(producer, integers) or any(tensors[entry.inputs[1]].quantization is None for entry in readers):
            continue
        scale = quantization.scale.astype(np.float64)
        largest = float(quantization.scale.max())
        operators[producer.name] = _scaled(tensors, producer, largest / scale, with_bias=True)
        for reader in readers:
            operators[reader.name] = _scaled(tensors, reader, scale / largest, with_bias=False)
        tensors[integers.name] = replace(
            integers,
            quantization=Quantization(scale=np.array([largest], np.float32), zero_point=zero_point),
        )
        if producer.attributes["activation"] == "relu6":
            attributes = {**producer.attributes, "activation": "relu"}
            operators[producer.name] = replace(operators[producer.name], attributes=attributes)
        later = f"; {moved} of them clamp later than in the source, whose zero points differ" if moved else ""
        said.append(f"the scales of {scale.size} channels of '{integers.name}' moved into the weights around it{later}")
    return rebuild(graph, [operators[operator.name] for operator in graph.operators], tensors), tuple(said)


def _around(
    graph: Graph, quantizer: Operator, operators: dict[str, Operator]
) -> tuple[Operator, list[Operator]] | None:
    """The Conv that makes the activation and the depthwise Convs that read it, if nothing else touches it."""
    producer = graph.producer(quantizer.inputs[0])
    channels = graph.tensors[quantizer.inputs[0]].shape[1]
    if producer is None or producer.kind != "Conv" or len(graph.consumers(quantizer.inputs[0])) != 1:
        return None
    if quantizer.inputs[0] in graph.outputs or graph.tensors[producer.inputs[1]].quantization is None:
        return None
    readers: list[Operator] = []
    for dequantizer in graph.consumers(quantizer.outputs[0]):
        if dequantizer.kind != "Dequantize" or dequantizer.outputs[0] in graph.outputs:
            return None
        readers += graph.consumers(dequantizer.outputs[0])
    for reader in readers:
        if reader.kind != "Conv" or reader.attributes["group"] != channels:
            return None
    return operators[producer.name], [operators[reader.name] for reader in readers]


def _cuts(producer: Operator, integers: Tensor) -> bool:
    """Whether the rectifier's upper end lies inside a channel's range, where it would depend on the channel."""
    if producer.attributes["activation"] != "relu6":
        return False
    assert integers.quantization is not None
    limits = np.iinfo(integers.dtype)
    steps = limits.max - integers.quantization.zero_point
    return bool((steps * integers.quantization.scale.astype(np.float64) > 6 * (1 + 1e-6)).any())


def _scaled(tensors: dict[str, Tensor], operator: Operator, factor: Scales, *, with_bias: bool) -> Operator:
    """A layer whose weight, and bias if wanted, have their scales multiplied by a factor per output or input channel.

    A depthwise weight (O, 1, kh, kw) with a multiplier m has the channels o // m.
    """
    weight = tensors[operator.inputs[1]]
    per_output = np.repeat(factor, weight.shape[0] // factor.size)
    names = list(operator.inputs)
    names[1] = _with_scale(tensors, weight, per_output)
    if with_bias and len(names) > 2 and names[2]:
        bias = tensors[names[2]]
        if bias.quantization is not None:
            names[2] = _with_scale(tensors, bias, per_output)
        else:
            assert bias.data is not None
            names[2] = fresh_name(f"{bias.name}/scaled", tensors)
            data = (bias.data.astype(np.float64) * per_output).astype(np.float32)
            tensors[names[2]] = Tensor(name=names[2], shape=data.shape, dtype="float32", data=data)
    return replace(operator, inputs=tuple(names))


def _with_scale(tensors: dict[str, Tensor], constant: Tensor, factor: Scales) -> str:
    assert constant.quantization is not None
    scale = np.broadcast_to(constant.quantization.scale.astype(np.float64), factor.shape) * factor
    zero_point = np.broadcast_to(constant.quantization.zero_point, factor.shape)
    name = fresh_name(f"{constant.name}/scaled", tensors)
    quantization = Quantization(scale=scale.astype(np.float32), zero_point=zero_point, axis=0)
    tensors[name] = replace(constant, name=name, quantization=quantization)
    return name
