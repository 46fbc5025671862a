"""What batch norm remembers of the training's activations, against what it is given now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph, Operator, channel_axis

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class NormStatistics:
    """Mean and variance by channel of what a batch norm is given, and those that it remembers: float64 (channels,)."""

    name: str
    mean: Array
    variance: Array
    kept_mean: Array
    kept_variance: Array

    @property
    def divergence(self) -> float:
        """Kullback and Leibler's, of the normal distribution seen from the one remembered: median channel, in nats."""
        ratio = self.variance / self.kept_variance
        squared = (self.mean - self.kept_mean) ** 2 / self.kept_variance
        return float(np.median(0.5 * (ratio + squared - 1 - np.log(ratio))))


FORGOTTEN = 0.05
"""Share of what batch norm started with, 0 and 1, that may be left in what it remembers."""


class Sums:
    """Sums of values and of their squares by channel."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.sums = torch.zeros(2, channels, dtype=torch.float64)

    def add(self, values: Tensor, axis: int) -> None:
        """Count values whose channels lie along an axis."""
        given = values.detach().movedim(axis, 0).flatten(1).double()
        self.count += given.shape[1]
        self.sums += torch.stack([given.sum(dim=1), given.square().sum(dim=1)])

    def moments(self) -> tuple[Array, Array]:
        """Mean and variance by channel."""
        first, second = (self.sums / max(self.count, 1)).numpy()
        return first, np.maximum(second - first**2, 0)

    def statistics(self, name: str, mean: Array, variance: Array, epsilon: float) -> NormStatistics:
        """Beside those that should be there; `epsilon` is added to both variances."""
        first, second = self.moments()
        return NormStatistics(
            name=name,
            mean=first,
            variance=second + epsilon,
            kept_mean=mean.astype(np.float64),
            kept_variance=variance.astype(np.float64) + epsilon,
        )


def remembers(norm: nn.BatchNorm2d) -> bool:
    """Whether a batch norm has seen so many batches that what it started with is forgotten.

    After few, or in front of weights that came with batch norm folded, its mean and variance are of no images.
    """
    seen = 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)
    return seen > 0 and (norm.momentum is None or (1 - norm.momentum) ** seen <= FORGOTTEN)


def norms_of_module(module: nn.Module, inputs: Sequence[Floats]) -> tuple[NormStatistics, ...]:
    """Watch the batch norms of a module in evaluation mode on batches (n, 3, h, w), in the order they are called.

    Those alone that remember a training: see `remembers`.
    """
    kept = {name: one for name, one in module.named_modules() if isinstance(one, nn.BatchNorm2d) and remembers(one)}
    sums: dict[str, Sums] = {}

    def watch(name: str, channels: int, values: Tensor) -> None:
        sums.setdefault(name, Sums(channels)).add(values, 1)

    handles = [
        norm.register_forward_pre_hook(lambda norm, given, name=name: watch(name, norm.num_features, given[0]))
        for name, norm in kept.items()
    ]
    try:
        with torch.no_grad():
            for batch in inputs:
                module(torch.from_numpy(batch))
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for name, summed in sums.items():
        mean, variance = kept[name].running_mean, kept[name].running_var
        if mean is not None and variance is not None:
            found.append(summed.statistics(name, mean.numpy(), variance.numpy(), kept[name].eps))
    return tuple(found)


def norms_of_graph(graph: Graph, inputs: Sequence[Floats]) -> tuple[NormStatistics, ...]:
    """The same of a float graph whose BatchNorm operators are not folded; inputs (n, 3, h, w), whatever its layout."""
    norms = {one.inputs[0]: one for one in graph.operators if one.kind == "BatchNorm" and is_of_images(graph, one)}
    run = FloatRun(graph)
    sums: dict[str, Sums] = {}
    for batch in inputs:
        given = batch if graph.layout == "nchw" else np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        for name, value in run.stream([given]):
            if name in norms:
                axis = channel_axis(graph.layout, value.dim())
                sums.setdefault(name, Sums(value.shape[axis])).add(value, axis)
    return tuple(
        summed.statistics(
            norms[name].name,
            graph.constant(norms[name].inputs[3]),
            graph.constant(norms[name].inputs[4]),
            float(norms[name].attributes["epsilon"]),
        )
        for name, summed in sums.items()
    )


def is_of_images(graph: Graph, operator: Operator) -> bool:
    """Whether a BatchNorm holds other moments than those that one starts with."""
    mean, variance = (graph.constant(name) for name in operator.inputs[3:5])
    return bool((mean != 0).any() or (variance != 1).any())
