"""Activations whose channels can be rescaled together without changing the network, and which layers then change."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import torch

from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.state import Float32Array, Images

LAYERS = ("Conv", "Gemm")
HOMOGENEOUS = frozenset({"Mean", "AveragePool", "MaxPool", "Resize", "Pad"})
"""Kinds that keep channels apart and give c times their output for c times their input, c > 0."""


CEILING = 6.0
"""Of a ReLU6."""
BATCH_IMAGES = 2


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Activations that must be rescaled alike.

    Attributes:
        tensors: activations of a channel axis of one size, in graph order.
        bounded: those that a rectifier ends at 6: a channel's scale may lift it to that and not above.
        producers: layers that make them, by whose output channels they are rescaled.
        consumers: layers that read them, by whose input channels they are scaled back.
        channels: how many.
    """

    tensors: tuple[str, ...]
    bounded: frozenset[str]
    producers: tuple[Operator, ...]
    consumers: tuple[Operator, ...]
    channels: int

    @property
    def read_by_channel(self) -> bool:
        """Whether every layer that reads them has a weight scale of its own per channel: its weights lose nothing."""
        return all(is_depthwise(consumer) for consumer in self.consumers)


def is_depthwise(operator: Operator) -> bool:
    """Whether a layer reads a channel for itself."""
    return operator.kind == "Conv" and operator.attributes["group"] > 1


def domains(graph: Graph) -> tuple[Domain, ...]:
    """The sets of activations of a float NCHW graph that can be rescaled, in graph order.

    Excluded is a set that reaches an input or output of the graph, an operator that does not commute with a factor
    per channel, a weight that two layers share, or a grouped layer that is not depthwise.
    """
    order = [*graph.inputs, *(name for operator in graph.operators for name in operator.outputs)]
    root = {name: name for name in order}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    barred = {*graph.inputs, *graph.outputs}
    for operator in graph.operators:
        moving = [name for name in operator.inputs if name in root]
        if _commutes(graph, operator):
            for name in moving:
                root[find(name)] = find(operator.outputs[0])
        elif operator.kind not in LAYERS or not _plain(graph, operator):
            barred.update((*moving, *operator.outputs))
    members: dict[str, list[str]] = {}
    for name in order:
        members.setdefault(find(name), []).append(name)
    return tuple(
        domain
        for names in members.values()
        if barred.isdisjoint(names) and (domain := _domain(graph, tuple(names))) is not None
    )


def _domain(graph: Graph, names: tuple[str, ...]) -> Domain | None:
    inside = set(names)
    producers = tuple(op for op in graph.operators if op.kind in LAYERS and op.outputs[0] in inside)
    consumers = tuple(op for op in graph.operators if op.kind in LAYERS and op.inputs[0] in inside)
    bounded = {
        op.outputs[0]
        for op in graph.operators
        if op.outputs[0] in inside and op.attributes.get("activation") == "relu6"
    }
    sizes = {graph.tensors[name].shape[1] for name in names if len(graph.tensors[name].shape) > 1}
    if not producers or not consumers or len(sizes) != 1:
        return None
    return Domain(
        tensors=names,
        bounded=frozenset(bounded),
        producers=producers,
        consumers=consumers,
        channels=sizes.pop(),
    )


def _commutes(graph: Graph, operator: Operator) -> bool:
    """Whether an operator of activations alone gives c times its output for c times its inputs, per channel."""
    shapes = [graph.tensors[name].shape for name in operator.inputs if name]
    constant = any(graph.tensors[name].data is not None for name in operator.inputs if name)
    output = graph.tensors[operator.outputs[0]].shape
    match operator.kind:
        case "Add":
            return not constant and all(shape == output for shape in shapes)
        case "Relu":
            return True
        case "Mean":
            return not {0, 1} & set(operator.attributes["axes"])
        case "Pad":
            pads = operator.attributes["pads"]
            return operator.attributes["value"] == 0 and tuple(pads[1]) == (0, 0)
        case "Reshape":  # of a pooled map to a vector
            return shapes[0][:2] == output[:2] and int(np.prod(shapes[0])) == int(np.prod(output[:2]))
        case kind:
            return kind in HOMOGENEOUS


def _plain(graph: Graph, operator: Operator) -> bool:
    """Whether a layer's constants are its own and its channels can be rescaled on either side."""
    weight, *rest = operator.inputs[1:]
    for name in (weight, *filter(None, rest)):
        if graph.tensors[name].data is None or len(graph.consumers(name)) != 1:
            return False
    if operator.kind == "Gemm":
        return len(graph.tensors[operator.inputs[0]].shape) == 2
    group = operator.attributes["group"]
    ends = {graph.tensors[operator.inputs[0]].shape[1], graph.tensors[operator.outputs[0]].shape[1]}
    return group == 1 or ends == {group}


def rescale(constants: dict[str, Float32Array], graph: Graph, domain: Domain, factors: Float32Array) -> None:
    """Multiply a domain's activations by factors (channels,): its layers' constants are put in `constants`.

    What is there already of another domain is taken from there.
    """

    def constant(name: str) -> Float32Array:
        return constants[name] if name in constants else np.asarray(graph.constant(name), np.float32)

    for layer in domain.producers:
        weight = constant(layer.inputs[1])
        constants[layer.inputs[1]] = weight * factors.reshape(-1, *(1,) * (weight.ndim - 1))
        for bias in filter(None, layer.inputs[2:]):
            constants[bias] = constant(bias) * factors
    for layer in domain.consumers:
        weight = constant(layer.inputs[1])
        axis = 0 if is_depthwise(layer) else 1
        shape = [1] * weight.ndim
        shape[axis] = -1
        constants[layer.inputs[1]] = weight / factors.reshape(shape)


def largest_of_channels(graph: Graph, names: AbstractSet[str], images: Images) -> dict[str, torch.Tensor]:
    """The largest magnitude of every channel of some activations: name -> (channels,)."""
    run = FloatRun(graph, channels_last=True)
    found: dict[str, torch.Tensor] = {}
    for start in range(0, len(images), BATCH_IMAGES):
        batch = images.batch(range(start, min(start + BATCH_IMAGES, len(images))))
        for name, value in run.stream([batch]):
            if name in names:
                seen = value.abs().transpose(0, 1).flatten(1).amax(dim=1)
                found[name] = torch.maximum(found[name], seen) if name in found else seen
    return found
