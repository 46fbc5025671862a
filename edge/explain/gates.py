"""What attention modules do: in GCT which channels compete and which cooperate, in CBAM which positions pass.

GCT (Yang et al., CVPR 2020, section 3.3): where gamma is positive a channel competes with the others, as in local
response normalization; where it is negative it cooperates, and the gate evens the channels out. Alpha is positive
here, so that gamma alone says it. CBAM (Woo et al., ECCV 2018, section 3, equation 3): the spatial gate is one number
in [0, 1] per position, from the image itself.

Both are found in a graph by their form, so that a checkpoint and the integers of an artifact are read alike.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor

Reals = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGates:
    """One GCT.

    Attributes:
        layer: where it stands in the network.
        gamma: float32 (channels,); of integers to within their rounding, which never turns a sign.
    """

    layer: str
    gamma: Reals

    @property
    def competing(self) -> float:
        """The share of channels with gamma above 0."""
        return float((self.gamma > 0).mean())

    @property
    def cooperating(self) -> float:
        """The share of channels with gamma below 0."""
        return float((self.gamma < 0).mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class SpatialGates:
    """One CBAM on one image: `values` float32 (rows, columns), in [0, 1], of the map that it gates."""

    layer: str
    values: Reals


def channel_gates(graph: Graph) -> tuple[ChannelGates, ...]:
    """The GCTs of an NCHW graph, float or integer, in order: L2Norm over channels, a gate per channel, Sigmoid."""
    found = []
    for operator in graph.operators:
        if operator.kind != "L2Norm" or operator.attributes["axis"] != 1:
            continue
        for gate in graph.consumers(operator.outputs[0]):
            if gate.kind == "Conv" and _feeds(graph, gate, "Sigmoid"):
                weight = real_values(graph.tensors[gate.inputs[1]])  # (C, 1, 1, 1): 2 gamma sqrt(C)
                gamma = weight.reshape(-1) / np.float32(2 * math.sqrt(weight.shape[0]))
                found.append(ChannelGates(layer=_layer(gate), gamma=gamma))
    return tuple(found)


def spatial_gates(graph: Graph, image: npt.NDArray[np.float32] | npt.NDArray[np.int8]) -> tuple[SpatialGates, ...]:
    """The spatial gates of the CBAMs of an NCHW graph on one image, in order.

    Args:
        image: (1, 3, h, w), float32 for a float graph, else the integers of its input.
    """
    wanted = {operator.outputs[0]: _layer(gate) for operator, gate in _spatial(graph)}
    if not wanted:
        return ()
    integer = graph.tensors[graph.inputs[0]].quantization is not None
    run = IntegerSimulation(graph) if integer else FloatRun(graph)
    return tuple(
        SpatialGates(layer=wanted[name], values=real_values(graph.tensors[name], value.numpy())[0, 0])
        for name, value in run.stream([image])
        if name in wanted
    )


def _spatial(graph: Graph) -> list[tuple[Operator, Operator]]:
    """Every Sigmoid of one map that a convolution makes of the largest and the mean of all channels, with that one."""
    found = []
    for operator in graph.operators:
        gate = graph.producer(operator.inputs[0]) if operator.kind == "Sigmoid" else None
        if gate is None or gate.kind != "Conv" or graph.tensors[gate.inputs[1]].shape[:2] != (1, 2):
            continue
        joined = graph.producer(gate.inputs[0])
        if joined is not None and joined.kind == "Concat":
            sources = [graph.producer(name) for name in joined.inputs]
            if sorted(source.kind for source in sources if source is not None) == ["Mean", "ReduceMax"]:
                found.append((operator, gate))
    return found


def _feeds(graph: Graph, operator: Operator, kind: str) -> bool:
    return any(reader.kind == kind for reader in graph.consumers(operator.outputs[0]))


def _layer(gate: Operator) -> str:
    """Where a module stands, by the name of one of its layers."""
    return gate.name.rpartition(".")[0] or gate.name


def real_values(tensor: Tensor, data: npt.NDArray[np.generic] | None = None) -> Reals:
    """The real numbers of a tensor's own data, or of an activation's."""
    raw = tensor.data if data is None else data
    assert raw is not None  # weights are constants: `edge.graph.passes`
    found = tensor.quantization
    if found is None:
        return np.asarray(raw, np.float32)
    shape = [-1 if axis == found.axis else 1 for axis in range(raw.ndim)]
    zero_point, scale = found.zero_point.reshape(shape), found.scale.reshape(shape)
    return np.asarray((raw.astype(np.int64) - zero_point) * scale, np.float32)
