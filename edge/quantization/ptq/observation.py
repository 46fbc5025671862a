"""What the activations of a float network are on some images: everything that quick steps ask, from one pass.

Channels that are rescaled afterwards need no second pass: rectifiers, pools and sums let a positive factor through, so
that the extremes, values and means of the rescaled network are those of this one times the factor.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edge.errors import EdgeError
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.histogram import Histogram
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.ptq.state import Float32Array, Images, batches_of
from edge.quantization.ties import RangeGroup

VALUES = 1 << 16
"""Of an activation that are kept, all images together: at even distances, every channel alike."""
MOST_SAMPLED = 128
"""Batches that values are kept of, evenly spread."""
WIDE_ROW = 64
"""Values below which torch takes the extremes of a short row much more slowly."""


class Rescaled(Protocol):
    """Activations whose channels are multiplied alike."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """Their names."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen of a float graph; one value per channel where an activation has channels (axis 1), else one.

    Attributes:
        _lows, _highs: name -> (channels,), exact.
        _values: name -> (positions, channels), at most about VALUES.
        _means: name -> (1, ...), the mean over the images of what a layer reads: its map where positions matter, a
            value per channel (1, channels, 1, 1) elsewhere. Empty where not asked for.
        _factors: name -> (channels,), that everything is multiplied by.
    """

    _lows: Mapping[str, Tensor]
    _highs: Mapping[str, Tensor]
    _values: Mapping[str, Tensor]
    _means: Mapping[str, Tensor]
    _factors: Mapping[str, Tensor]

    def rescaled(self, found: Sequence[tuple[Rescaled, Float32Array]]) -> "Observation":
        """What is seen once channels of some activations are multiplied by positive factors (channels,)."""
        factors = dict(self._factors)
        for domain, given in found:
            for name in domain.tensors:
                factors[name] = torch.from_numpy(given) * factors.get(name, 1.0)
        return replace(self, _factors=factors)

    def largest(self, name: str) -> Tensor:
        """The largest magnitude of every channel: (channels,)."""
        return torch.maximum(-self._lows[name], self._highs[name]) * self._factors.get(name, 1.0)

    def mean(self, name: str) -> Tensor:
        """The mean over the images of what a layer reads, see `_means`."""
        mean = self._means[name]
        factors = self._factors.get(name)
        return mean if factors is None else mean * factors.reshape(1, -1, *(1,) * (mean.dim() - 2))

    def histogram(self, group: RangeGroup, *, bounds_only: bool) -> Histogram:
        """The values of a group's sources; its bounds are those of all values, not of the kept ones alone."""
        made = Histogram(bounds_only=bounds_only)
        for name in group.sources:
            factors = self._factors.get(name, 1.0)
            low, high = float((self._lows[name] * factors).min()), float((self._highs[name] * factors).max())
            made.add((self._values[name] * factors).numpy(), name)
            made.hold(low, high)
        return made


def observe(graph: Graph, images: Images, groups: Collection[RangeGroup], *, means: bool) -> Observation:
    """Run images through a float graph once.

    Args:
        graph: NCHW. images: one or more.
        groups: whose members' extremes and sources' values are kept; what layers read with `means`.

    Raises:
        EdgeError: an activation that is not finite, by name.
    """
    batches = batches_of(graph, images)
    every = -(-len(batches) // MOST_SAMPLED)
    sources = {name for group in groups if group.fixed is None for name in group.sources}
    seen = _Seen(
        sources=sources,
        members={name for group in groups for name in group.tensors},
        whole=_read_by_position(graph) if means else {},
        batches=-(-len(batches) // every),
    )
    run = FloatRun(graph, channels_last=True)
    for number, batch in enumerate(batches):
        for name, value in run.stream([images.batch(batch)]):
            seen.add(name, value, keep=number % every == 0)
    for name, low in seen.lows.items():
        high = seen.highs[name]
        if not (low.isfinite().all() and high.isfinite().all()):
            raise EdgeError(f"'{name}' holds values that are not finite ({float(low.min())} to {float(high.max())})")
    return Observation(
        _lows=seen.lows,
        _highs=seen.highs,
        _values=seen.values(),
        _means={name: total / len(images) for name, total in seen.sums.items()},
        _factors={},
    )


class _Seen:
    """What the images so far gave: extremes of `members`, and values of `sources` in so many `batches`."""

    def __init__(self, *, sources: set[str], members: set[str], whole: Mapping[str, bool], batches: int) -> None:
        self.sources, self.members, self.whole, self.batches = sources, members, whole, batches
        self.lows: dict[str, Tensor] = {}
        self.highs: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}
        self._kept: dict[str, int] = {}
        self._distances: dict[str, int] = {}  # by the first batch, which is the largest
        self.sums: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, name: str, value: Tensor, *, keep: bool) -> None:
        """One activation of a batch, (n, ...)."""
        if name not in self.members:
            return
        rows = value.movedim(1, -1).flatten(0, -2) if value.dim() > 1 else value.reshape(-1, 1)
        if name in self.whole:
            for total in torch.split(value, 1) if self.whole[name] else [_sum_of_means(value, rows)]:
                self.sums[name] = self.sums[name].add_(total) if name in self.sums else total.clone()
        folded = _folded(rows)
        low, high = (found.reshape(-1, rows.shape[1]) for found in (folded.amin(dim=0), folded.amax(dim=0)))
        low, high = low.amin(dim=0), high.amax(dim=0)
        self.lows[name] = torch.minimum(self.lows[name], low) if name in self.lows else low
        self.highs[name] = torch.maximum(self.highs[name], high) if name in self.highs else high
        if keep and name in self.sources:
            if name not in self._distances:  # odd: it keeps to no column of an even-sized map
                self._distances[name] = -(-rows.numel() * self.batches // VALUES) | 1
            self._keep(name, rows[:: self._distances[name]])

    def _keep(self, name: str, rows: Tensor) -> None:
        """Write into memory that is taken once: small pieces among large passing ones would hold all of it."""
        if name not in self._buffers:
            self._buffers[name], self._kept[name] = torch.empty(self.batches * len(rows), rows.shape[1]), 0
        end = self._kept[name] + len(rows)
        self._buffers[name][self._kept[name] : end] = rows
        self._kept[name] = end

    def values(self) -> dict[str, Tensor]:
        """name -> (positions, channels)."""
        return {name: buffer[: self._kept[name]] for name, buffer in self._buffers.items()}


def _folded(rows: Tensor) -> Tensor:
    """Rows (n, channels) as fewer, wider ones."""
    channels, fold = rows.shape[1], 1
    while channels * fold < WIDE_ROW and len(rows) % (2 * fold) == 0:
        fold *= 2
    return rows.reshape(len(rows) // fold, channels * fold)


def _sum_of_means(value: Tensor, rows: Tensor) -> Tensor:
    """The sum over images of the mean over positions: (1, channels, 1, 1) of (n, channels, h, w)."""
    positions = len(rows) // len(value)
    return (rows.sum(dim=0) / positions).reshape(1, -1, *(1,) * (value.dim() - 2))


def _read_by_position(graph: Graph) -> dict[str, bool]:
    """What layers read -> whether one of them tells positions apart."""
    found: dict[str, bool] = {}
    for layer in layers_of(graph):
        found[layer.inputs[0]] = found.get(layer.inputs[0], False) or not _is_pointwise(graph, layer)
    return found


def _is_pointwise(graph: Graph, layer: Operator) -> bool:
    """Whether a convolution reads every position alike and alone."""
    return (
        layer.kind == "Conv"
        and tuple(graph.tensors[layer.inputs[1]].shape[2:]) == (1, 1)
        and tuple(layer.attributes["strides"]) == (1, 1)
        and not np.any(layer.attributes["pads"])
    )
