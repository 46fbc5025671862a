"""What a step of post-training quantization takes and returns: a network, and the parameters of its activations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import Scheme
from edge.graph.graph import Graph
from edge.quantization.ptq.estimators import Estimator
from edge.quantization.ptq.within_limits import within_limits
from edge.quantization.ties import RangeGroup, range_groups

MOST_BATCH = 4
BATCH_BYTES = 3 << 22
"""Of the largest activation of a batch."""
Parameters = Mapping[str, tuple[np.float32 | float, int]]
Float32Array = npt.NDArray[np.float32]


class Images(Protocol):
    """Images that can be read again and again, so that nothing has to hold all of them."""

    def __len__(self) -> int:
        """How many there are."""

    def batch(self, indices: Sequence[int]) -> Float32Array:
        """Some of them as the network takes them: float32 (n, 3, h, w)."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Some of other images, in the order of `indices`."""

    images: Images
    indices: tuple[int, ...]

    def __len__(self) -> int:
        """How many were chosen."""
        return len(self.indices)

    def batch(self, indices: Sequence[int]) -> Float32Array:
        """Some of them: float32 (n, 3, h, w)."""
        return self.images.batch([self.indices[index] for index in indices])


def evenly(images: Images, most: int) -> Chosen:
    """At most so many of some images, evenly spread."""
    count = min(most, len(images))
    return Chosen(images=images, indices=tuple(index * len(images) // count for index in range(count)))


def batches_of(graph: Graph, images: Images) -> list[range]:
    """The indices of some images in batches as a network runs them best on a processor: channels in vectors, in cache.

    Large activations go through one image at a time.
    """
    largest = max(tensor.size_bytes for tensor in graph.tensors.values() if tensor.data is None)
    size = max(1, min(MOST_BATCH, BATCH_BYTES // max(1, largest)))
    return [range(start, min(start + size, len(images))) for start in range(0, len(images), size)]


@dataclass(frozen=True, kw_only=True)
class State:
    """A network on its way to integers. A step makes another one of it.

    Attributes:
        real: the float network: NCHW, one input, batch norm folded, rectifiers fused, a bias in every layer.
        graph: the same with the weights and biases that steps have chosen; chosen weights lie on the grid that
            rounding to the nearest integer gives back.
        parameters: scale and zero point of every activation; tied ones equal. estimator: that found the ranges.
    """

    real: Graph
    graph: Graph
    parameters: Parameters
    scheme: Scheme
    estimator: Estimator = "mse"

    @cached_property
    def groups(self) -> tuple[RangeGroup, ...]:
        """The activations that share their parameters."""
        return range_groups(self.graph, self.scheme)

    @cached_property
    def quantized(self) -> Graph:
        """The integer graph."""
        return within_limits(self.graph, self.groups, self.parameters, self.scheme)

    def with_constants(self, constants: Mapping[str, Float32Array]) -> "State":
        """The same with other weights and biases, by name."""
        return replace(self, graph=with_constants(self.graph, constants))


def with_constants(graph: Graph, constants: Mapping[str, Float32Array]) -> Graph:
    """A graph with other values of some constants, by name."""
    return graph.with_tensors([replace(graph.tensors[name], data=data) for name, data in constants.items()])
