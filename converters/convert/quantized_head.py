"""A point head quantized after training: on the integers of the quantized network's outputs."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from converters.convert.export import float_head_graph
from edge.artifact.scheme import INT8_MAX, INT8_MIN, Scheme
from edge.engines.torch.engine import port_of_tensor
from edge.errors import UsageError
from edge.graph.graph import Graph
from edge.models.point_head import on_codes, point_head_of
from edge.port import DescribedPort
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.ptq.estimators import Estimator
from edge.quantization.qat.point_rend import CODE_RANGE
from edge.vision.point_rend import CODES, PointRule, first_points

Batches = Iterable[npt.NDArray[np.float32]]


def quantized_head(module: nn.Module, network: Graph, batches: Batches, ranges: Estimator, scheme: Scheme) -> Graph:
    """The integer graph (nchw) of a float network's point head, calibrated on the first points of images.

    Args:
        network: its quantized graph, of coarse logits and fine features.
        batches: images as the network sees them.

    Raises:
        UsageError: a scheme of 16-bit activations, which no point is gathered from.
    """
    head = point_head_of(module)
    assert head is not None  # of a description with one
    if scheme.activation_bits != 8:
        raise UsageError(f"a point head reads 8-bit integers; activation_bits is {scheme.activation_bits}")
    ports = [port_of_tensor(network.tensors[name]) for name in network.outputs]
    told = tuple(DescribedPort(**vars(port), layout="nchw", meaning="logits") for port in ports)
    (coarse_scale, coarse_zero), (scale, zero) = ((port.scale, port.zero_point) for port in ports)
    assert coarse_scale and scale and coarse_zero is not None and zero is not None  # integers
    graph = float_head_graph(on_codes(head, (scale, zero), (coarse_scale, coarse_zero)))
    shape = network.tensors[network.inputs[0]].shape
    rule = PointRule(steps=1, points=head.points, size_hw=(shape[2], shape[3]))
    given = DescribedPort(
        name="points", shape=(), dtype="int8", scale=1 / CODES, zero_point=0, layout="nchw", meaning="points"
    )

    def codes() -> Iterator[npt.NDArray[np.float32]]:
        for batch in batches:
            with torch.inference_mode():
                outputs = [output.numpy() for output in module(torch.from_numpy(batch))]
            raw = [_integers(output, port) for output, port in zip(outputs, told, strict=True)]
            for row in range(len(batch)):
                one = tuple(output[row : row + 1] for output in raw)
                yield first_points(one, told, rule, given).astype(np.float32) / np.float32(CODES)

    return calibrate(graph, codes(), estimator=ranges, scheme=scheme, input_range=CODE_RANGE)


def _integers(values: npt.NDArray[Any], port: DescribedPort) -> npt.NDArray[np.int8]:
    assert port.scale is not None and port.zero_point is not None  # of a quantized network
    steps = np.rint(values / np.float32(port.scale)) + port.zero_point
    return np.asarray(np.clip(steps, INT8_MIN, INT8_MAX), dtype=np.int8)
