"""Five feature maps of a backbone: the last of each resolution on the way down, float or what integers stand for."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.borders import spatial_axes
from edge.graph.graph import Graph
from edge.graph.passes.rewrite import rebuild

COUNT = 5
ENCODER_ENDS = frozenset({"Resize", "ConvTranspose", "DepthToSpace", "Reshape", "Gemm"})
"""Kinds behind which maps grow again, or are none."""
SHRINKS = frozenset({"Conv", "MaxPool", "AveragePool", "SpaceToDepth"})


def feature_maps(graph: Graph) -> tuple[str, ...]:
    """Names of COUNT maps of a backbone, the finest first.

    The last map of each resolution, before the next one begins, of the first COUNT of them: those that the stages of
    a classifier hand on (Islam et al., arXiv 2001.08248, section 3.1, where each of the backbone's five stages gives
    one). Where a network keeps its resolution (DeepLab), the coarsest gives what is missing, evenly along its layers.

    Raises:
        UnsupportedError: fewer than COUNT maps.
    """
    axes = spatial_axes(graph)
    levels: list[list[str]] = []
    sizes: list[tuple[int, int]] = []
    whole = graph.tensors[graph.inputs[0]].shape
    last = (whole[axes[0]], whole[axes[1]])
    for operator in graph.operators:
        if operator.kind in ENCODER_ENDS and levels:
            break
        shape = graph.tensors[operator.outputs[0]].shape
        if len(shape) != 4:
            continue
        size = (shape[axes[0]], shape[axes[1]])
        before = graph.tensors[operator.inputs[0]].shape
        if operator.kind in SHRINKS and all(shape[axis] < before[axis] for axis in axes) and size < last:
            if len(levels) == COUNT:
                break
            levels.append([])
            sizes.append(size)
            last = size
        if levels and size == sizes[-1] and operator.kind != "Pad":
            levels[-1].append(operator.outputs[0])
    missing = COUNT - len(levels)
    coarsest = levels[-1] if levels else []
    if missing >= len(coarsest):
        raise UnsupportedError(f"the network has {sum(map(len, levels))} feature maps; {COUNT} are needed")
    places = [(k + 1) * len(coarsest) // (missing + 1) - 1 for k in range(missing + 1)]
    return (*(level[-1] for level in levels[:-1]), *(coarsest[place] for place in places))


def backbone(graph: Graph) -> Graph:
    """The network as far as its feature maps, which are its outputs."""
    return rebuild(graph, graph.operators, outputs=feature_maps(graph))


def maps_of(graph: Graph, batches: Sequence[np.ndarray] | Iterator[np.ndarray]) -> Iterator[list[Tensor]]:
    """What the outputs of a backbone hold, of each batch of inputs: real numbers, float32 (n, channels, h, w).

    Of an integer graph these are scale * (q - zero point) of the integers that the exact simulation computes.
    """
    quantized = any(tensor.quantization is not None for tensor in graph.tensors.values())
    run = IntegerSimulation(graph) if quantized else FloatRun(graph)
    for batch in batches:
        made = run.run([batch])
        yield [_real(graph, name, torch.from_numpy(values)) for name, values in zip(graph.outputs, made, strict=True)]


def _real(graph: Graph, name: str, values: Tensor) -> Tensor:
    quantization = graph.tensors[name].quantization
    real = values.float()
    if quantization is not None:
        real = (real - float(quantization.zero_point[0])) * float(quantization.scale[0])
    return real if graph.layout == "nchw" else real.permute(0, 3, 1, 2)
