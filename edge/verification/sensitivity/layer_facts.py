"""What a layer's values look like: which of its parts is at fault, and how well its integers fit its real values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.evaluation.fidelity import RealDifference, real_difference
from edge.graph.graph import channel_axis
from edge.verification.sensitivity.mixed import FLOAT, Grid, Layer, MixedNetwork, Part

MOST_VALUES = 200_000
"""Of one activation and image, for its percentiles: every n-th value, from the first."""
NARROW_QUANTA = 16
MIDDLE = 99.9
"""Percent of the values that the middle of a distribution holds; half the rest lies beyond each of its ends."""


@dataclass(frozen=True, kw_only=True)
class OutputFacts:
    """A layer's real output against the range of its integers, over some images.

    Attributes:
        grid_low, grid_high: the range that the integers hold. low, high: the smallest and largest real value.
        middle_low, middle_high: the ends of the middle 99.9 % of the values.
        clipped_share: share of the values outside the range. clip_noise, round_noise: squared error of those outside
            and of those inside.
        channels: how many; 1 for an output without a channel axis. narrow_share: share of the channels that use less
            than 16 quanta, though not none.
        widest_channel: its index; widest_quanta, median_quanta: what it and the median channel span, in quanta.
    """

    scale: float
    levels: int
    grid_low: float
    grid_high: float
    low: float
    high: float
    middle_low: float
    middle_high: float
    clipped_share: float
    clip_noise: float
    round_noise: float
    channels: int
    narrow_share: float
    widest_channel: int
    widest_quanta: float
    median_quanta: float


@dataclass(frozen=True, kw_only=True)
class WeightFacts:
    """A layer's weights against their grid.

    Attributes:
        scales: how many; 1 is per tensor. channels: output channels.
        narrow_share: share of the output channels whose largest weight is below 8 quanta: 16 levels.
        zeroed_share: share of the nonzero real weights that became 0; 0 where the real ones are not known.
    """

    scales: int
    channels: int
    narrow_share: float
    zeroed_share: float


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """Facts about one layer.

    Attributes:
        constants_noise, output_noise: squared error of the scores with its weights alone, or its output alone, rounded.
    """

    layer: Layer
    constants_noise: float
    output_noise: float
    output: OutputFacts | None
    weights: WeightFacts | None


def gather_facts(
    network: MixedNetwork,
    layers: Sequence[Layer],
    batches: Sequence[npt.NDArray[np.float32]],
    advance: Callable[[int], None] = lambda count: None,
) -> list[LayerFacts]:
    """Look closer at some layers. `batches` are inputs of the float network, each run as it is."""
    noise = {layer.place: [RealDifference(), RealDifference()] for layer in layers}
    seen: dict[int, list[torch.Tensor]] = {layer.place: [] for layer in layers}
    for batch in batches:
        real = network.run([batch], lambda place: FLOAT)
        expected = [real[name].numpy() for name in network.graph.outputs]
        for layer in layers:
            seen[layer.place].append(real[layer.tensor])
            for index, part in enumerate((Part(constants=True, output=False), Part(constants=False, output=True))):
                found = network.rerun(real, layer.place, _only(layer.place, part))
                for name, reference in zip(network.graph.outputs, expected, strict=True):
                    noise[layer.place][index] += real_difference(reference, found[name].numpy())
            advance(1)
    return [
        LayerFacts(
            layer=layer,
            constants_noise=noise[layer.place][0].noise,
            output_noise=noise[layer.place][1].noise,
            output=_output(network, layer, seen[layer.place]),
            weights=_weights(network, layer),
        )
        for layer in layers
    ]


def _only(place: int, part: Part) -> Callable[[int], Part]:
    return lambda at: part if at == place else FLOAT


def _output(network: MixedNetwork, layer: Layer, values: Sequence[torch.Tensor]) -> OutputFacts | None:
    grid = network.grids.get(layer.tensor)
    if grid is None or not values or not values[0].numel():
        return None
    everything = torch.cat([value.reshape(-1) for value in values])
    low, high = grid.range
    outside = (everything < low - grid.scale / 2) | (everything > high + grid.scale / 2)
    squared = (grid.rounded(everything) - everything).double().square()
    kept = np.concatenate([_thinned(value) for value in values])
    edge = (100 - MIDDLE) / 2
    spans = _channel_quanta(network, layer, values, grid)
    used = spans[spans > 0]
    return OutputFacts(
        scale=grid.scale,
        levels=grid.high - grid.low + 1,
        grid_low=low,
        grid_high=high,
        low=float(everything.min()),
        high=float(everything.max()),
        middle_low=float(np.percentile(kept, edge)),
        middle_high=float(np.percentile(kept, 100 - edge)),
        clipped_share=float(outside.float().mean()),
        clip_noise=float(squared[outside].sum()),
        round_noise=float(squared[~outside].sum()),
        channels=int(spans.size),
        narrow_share=float((used < NARROW_QUANTA).mean()) if used.size else 0.0,
        widest_channel=int(spans.argmax()),
        widest_quanta=float(spans.max()),
        median_quanta=float(np.median(used)) if used.size else 0.0,
    )


def _thinned(value: torch.Tensor) -> npt.NDArray[np.float32]:
    flat = value.reshape(-1)
    return flat[:: max(1, -(-flat.numel() // MOST_VALUES))].numpy()


def _channel_quanta(
    network: MixedNetwork, layer: Layer, values: Sequence[torch.Tensor], grid: Grid
) -> npt.NDArray[np.float64]:
    """What every channel spans over the images, zero included, in quanta: (channels,)."""
    rank = values[0].dim()
    if rank < 2:
        values, rank = [value.reshape(1, 1, -1) for value in values], 3
    axis = channel_axis(network.graph.layout, rank)
    others = [place for place in range(rank) if place != axis]
    low = torch.stack([value.amin(dim=others) for value in values]).amin(dim=0).clamp(max=0)
    high = torch.stack([value.amax(dim=others) for value in values]).amax(dim=0).clamp(min=0)
    return np.asarray(((high - low).double() / grid.scale).numpy(), np.float64)


def _weights(network: MixedNetwork, layer: Layer) -> WeightFacts | None:
    if layer.place < 0:
        return None
    operator = network.source.operators[layer.place]
    if operator.kind not in ("Conv", "ConvTranspose", "Gemm") or len(operator.inputs) < 2:
        return None
    tensor = network.source.tensors[operator.inputs[1]]
    if tensor.data is None or tensor.quantization is None:
        return None
    integers: npt.NDArray[Any] = tensor.data.astype(np.int64)
    if tensor.quantization.axis is None:
        integers = integers - int(tensor.quantization.zero_point[0])
    real = network.graph.constant(operator.inputs[1])
    nonzero = real != 0
    channel_quanta = np.abs(integers.reshape(integers.shape[0], -1)).max(axis=1)
    return WeightFacts(
        scales=int(tensor.quantization.scale.size),
        channels=int(integers.shape[0]),
        narrow_share=float((channel_quanta < NARROW_QUANTA / 2).mean()),
        zeroed_share=float((integers[nonzero] == 0).mean()) if nonzero.any() else 0.0,
    )
