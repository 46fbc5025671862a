"""Taking channels-last inputs and outputs of exported TensorFlow models back to NCHW, as the rest of the graph is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from converters.passes.layout.absorb import ARITHMETIC, POINTWISE
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

TO_NCHW = (0, 3, 1, 2)
TO_NHWC = (0, 2, 3, 1)


@dataclass(frozen=True, kw_only=True)
class Region:
    """What lies between a channels-last boundary and the Transposes that end it.

    Attributes:
        tensors: activations that are channels last, the boundary included.
        ends: the Transposes at the far side.
    """

    tensors: set[str] = field(default_factory=set)
    ends: list[Operator] = field(default_factory=list)


def channels_first_boundaries(graph: Graph) -> Graph:
    """Turn a rank-4 input that is transposed to NCHW, and an output that is transposed to NHWC, into NCHW themselves.

    Exporters of TensorFlow models write such boundaries. Operators over single values, arithmetic with constants and
    Softmax may stand between the boundary and the Transpose.

    Requires: an NCHW graph.
    Ensures: the same values; the Transposes are gone, names are kept, and a NHWC file written from the graph has the
    boundaries of the TensorFlow model.
    """
    for name in graph.inputs:
        region = _after(graph, name)
        if region is not None:
            graph = _channels_first(graph, region, {end.outputs[0]: end.inputs[0] for end in region.ends})
    for name in graph.outputs:
        before = _before(graph, name)
        if before is not None:
            graph = _channels_first(graph, before, {end.outputs[0]: end.inputs[0] for end in before.ends})
    return graph


def _after(graph: Graph, name: str) -> Region | None:
    """The region behind an input; None if any path leaves it otherwise than through a Transpose to NCHW."""
    if len(graph.tensors[name].shape) != 4 or name in graph.outputs:
        return None
    region, waiting = Region(), [name]
    while waiting:
        tensor = waiting.pop()
        region.tensors.add(tensor)
        for reader in graph.consumers(tensor):
            if reader.outputs[0] in graph.outputs:
                return None
            if reader.kind == "Transpose" and reader.attributes["perm"] == TO_NCHW:
                region.ends.append(reader)
            elif _is_movable(graph, reader, tensor):
                waiting += [output for output in reader.outputs if output not in region.tensors]
            else:
                return None
    return region if region.ends else None


def _before(graph: Graph, name: str) -> Region | None:
    """The region in front of an output; None unless a chain of movable operators leads back to a Transpose to NHWC."""
    if len(graph.tensors[name].shape) != 4:
        return None
    region, tensor = Region(), name
    while True:
        if tensor != name and (len(graph.consumers(tensor)) != 1 or tensor in graph.outputs):
            return None
        producer = graph.producer(tensor)
        if producer is None or (tensor == name and graph.consumers(name)):
            return None
        region.tensors.add(tensor)
        if producer.kind == "Transpose" and producer.attributes["perm"] == TO_NHWC:
            source = producer.inputs[0]
            if source in graph.inputs or source in graph.outputs:
                return None
            region.ends.append(producer)
            return region
        moving = [other for other in producer.inputs if other and graph.tensors[other].data is None]
        if len(moving) != 1 or not _is_movable(graph, producer, moving[0]):
            return None
        tensor = moving[0]


def _is_movable(graph: Graph, operator: Operator, name: str) -> bool:
    if len(graph.tensors[operator.outputs[0]].shape) != 4:
        return False
    if operator.kind in POINTWISE or operator.kind == "Softmax":
        return True
    others = [other for other in operator.inputs if other != name]
    return operator.kind in ARITHMETIC and all(graph.tensors[other].data is not None for other in others)


def _channels_first(graph: Graph, region: Region, same: Mapping[str, str]) -> Graph:
    """Make the region NCHW and drop its Transposes; `same` says which of their outputs equal which of their inputs."""
    tensors = dict(graph.tensors)
    for name in region.tensors:
        shape = tensors[name].shape
        tensors[name] = replace(tensors[name], shape=tuple(shape[axis] for axis in TO_NCHW))
    # A Transpose at an input ends in a tensor that others read; one at an output starts from one that others made.
    names = dict(same)
    for made, source in same.items():
        if made in region.tensors:
            names = {source: made}
    operators = []
    for operator in graph.operators:
        if operator in region.ends:
            continue
        if region.tensors & {*operator.inputs, *operator.outputs} and operator.outputs[0] in region.tensors:
            operator = _moved(tensors, operator)
        inputs = tuple(names.get(name, name) for name in operator.inputs)
        outputs = tuple(names.get(name, name) for name in operator.outputs)
        operators.append(replace(operator, inputs=inputs, outputs=outputs))
    return rebuild(graph, operators, tensors)


def _moved(tensors: dict[str, Tensor], operator: Operator) -> Operator:
    """An operator of the region over NCHW: its axis and its constant operands renumbered."""
    attributes: dict[str, Any] = dict(operator.attributes)
    if "axis" in attributes:
        attributes["axis"] = TO_NCHW.index(attributes["axis"])
    inputs = [_moved_constant(tensors, name) for name in operator.inputs]
    return replace(operator, inputs=tuple(inputs), attributes=attributes)


def _moved_constant(tensors: dict[str, Tensor], name: str) -> str:
    tensor = tensors[name]
    if tensor.data is None or tensor.data.size == 1:
        return name
    missing = 4 - len(tensor.shape)
    data = np.ascontiguousarray(tensor.data.reshape((1,) * missing + tensor.shape).transpose(TO_NCHW))
    quantization = tensor.quantization
    if quantization is not None and quantization.axis is not None:
        axis = TO_NCHW.index(quantization.axis + missing)
        quantization = Quantization(scale=quantization.scale, zero_point=quantization.zero_point, axis=axis)
    target = fresh_name(f"{name}/nchw", tensors)
    tensors[target] = Tensor(name=target, shape=data.shape, dtype=tensor.dtype, data=data, quantization=quantization)
    return target
