"""Even out the weights of one layer with those of the next: cross-layer equalization.

Where a weight has one scale, a channel whose weights are a tenth of the largest has a tenth of the integers. Positive
factors per channel pass through rectifiers, pools and sums: the layer before is multiplied by them, the layer behind
divided. Of one layer before (largest weights r1 of its rows) and one behind (r2 of its columns) the factors are
sqrt(r2 / r1), after which both are sqrt(r1 r2) (Nagel et al., arXiv 1906.04721, section 4.1, eq. 11); of more of them,
behind sums, they are those that leave the logarithms of all ranges the least variance. Layers whose weights a factor
does not cost or gain anything are not asked: where weights have a scale per output channel those are the layers before
and the depthwise ones behind.

A ReLU6 stands in the way of factors: (1) with what it ends left alone, (2) kept, where no factor may lift a channel
above 6 on the images, nor move one that reached it, (3) given up for a ReLU (as section 5.1.1 there does), everywhere,
and (4) only where the float network's answers hardly change by that. All are made; the judge takes one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from edge.artifact.scheme import Granularity
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.quantization.ptq.channels import CEILING, Domain, domains, is_depthwise, largest_of_channels, rescale
from edge.quantization.ptq.state import Float32Array, Images, with_constants

SWEEPS = 40
SETTLED = 1e-3
"""Of the logarithm of a factor: sweeps end when none is larger."""
LARGEST_FACTOR = 2.0**10
MARGIN = 1.5
"""Room that a channel keeps below the ceiling of a ReLU6 which stays, as a multiple of what the images showed."""
COST_IMAGES = 8
LEAST_SQNR_DB = 25.0
"""Of the float network's answers with one ReLU6 given up: below it the rectifier stays."""


def weights_equalized(graph: Graph, images: Images, granularity: Granularity) -> Iterator[Graph]:
    """The same network, up to rectifiers at 6, with evened-out weights, in the ways told above.

    Nothing where no activation stands between layers alone.

    Args:
        graph: float, NCHW, rectifiers fused. images: that a channel's largest value is taken from.
    """
    found = domains(graph)
    if not found:
        return
    factors = _factors(graph, found, granularity)
    free = [number for number, domain in enumerate(found) if not domain.bounded]
    held = [number for number, domain in enumerate(found) if domain.bounded]
    if free:
        yield _applied(graph, found, {number: factors[number] for number in free})
    if not held:
        return
    largest = largest_of_channels(graph, {name for number in held for name in found[number].bounded}, images)
    kept = {number: _below_six(factors[number], found[number], largest) for number in held}
    yield _applied(graph, found, {**dict(enumerate(factors)), **kept})
    yield _applied(_without_sixes(graph, [found[number] for number in held]), found, dict(enumerate(factors)))
    cheap = [number for number in held if _is_cheap(graph, found[number], images)]
    if 0 < len(cheap) < len(held):
        dear = {number: kept[number] for number in held if number not in cheap}
        opened = _without_sixes(graph, [found[number] for number in cheap])
        yield _applied(opened, found, {**dict(enumerate(factors)), **dear})


def _factors(graph: Graph, found: Sequence[Domain], granularity: Granularity) -> list[Float32Array]:
    """Per domain the factors (channels,), of geometric mean 1, that even out the ranges of all weights together."""
    constants: dict[str, Float32Array] = {}
    total = [np.zeros(domain.channels) for domain in found]
    for _ in range(SWEEPS):
        moved = 0.0
        for number, domain in enumerate(found):
            step = _step(graph, constants, domain, granularity)
            most = np.log(LARGEST_FACTOR)
            step = np.clip(total[number] + step, -most, most) - total[number]
            total[number] += step
            rescale(constants, graph, domain, np.exp(step).astype(np.float32))
            moved = max(moved, float(np.abs(step).max()))
        if moved < SETTLED:
            break
    return [np.exp(values).astype(np.float32) for values in total]


def _step(
    graph: Graph, constants: Mapping[str, Float32Array], domain: Domain, granularity: Granularity
) -> npt.NDArray[np.float64]:
    """The logarithms of a domain's factors that even out the weights around it as they are now: (channels,)."""
    wanted = []
    for layers, axis, sign in ((domain.producers, 0, -1.0), (domain.consumers, 1, 1.0)):
        for layer in layers:
            own = axis == 0 or is_depthwise(layer)  # a channel's weights are a row
            if own and granularity == "per_channel":
                continue
            name = layer.inputs[1]
            weight = np.abs(constants[name] if name in constants else np.asarray(graph.constant(name), np.float32))
            ranges = np.moveaxis(weight, 0 if own else 1, 0).reshape(domain.channels, -1).max(axis=1)
            alive = ranges > ranges.max() / LARGEST_FACTOR
            if not alive.any():
                continue
            logarithms = np.log(np.where(alive, ranges, 1.0).astype(np.float64))
            wanted.append(np.where(alive, sign * (logarithms - logarithms[alive].mean()), 0.0))
    return np.mean(wanted, axis=0) if wanted else np.zeros(domain.channels)


def _below_six(factors: Float32Array, domain: Domain, largest: Mapping[str, torch.Tensor]) -> Float32Array:
    """Factors under which a ReLU6 ends what it ended on the images and nothing more."""
    seen = np.max([largest[name].numpy() for name in sorted(domain.bounded)], axis=0)
    ended = seen >= CEILING
    limit = CEILING / np.maximum(seen * MARGIN, CEILING / LARGEST_FACTOR)
    common = np.exp(-np.log(factors[ended]).mean()) if ended.any() else (limit / factors).min()
    found: Float32Array = np.where(ended, 1.0, np.minimum(factors * common, limit)).astype(np.float32)
    return found


def _without_sixes(graph: Graph, given_up: Sequence[Domain]) -> Graph:
    """The graph with a ReLU in the place of every ReLU6 of some domains."""
    names = {name for domain in given_up for name in domain.bounded}
    operators = tuple(
        replace(entry, attributes={**entry.attributes, "activation": "relu"}) if entry.outputs[0] in names else entry
        for entry in graph.operators
    )
    return replace(graph, operators=operators)


def _is_cheap(graph: Graph, domain: Domain, images: Images) -> bool:
    """Whether the answers stay nearly what they are without a domain's ReLU6."""
    pixels = images.batch(range(min(COST_IMAGES, len(images))))
    wanted, found = (FloatRun(one).run([pixels])[0] for one in (graph, _without_sixes(graph, [domain])))
    noise, signal = float(np.square(wanted - found).sum()), float(np.square(wanted).sum())
    return noise <= signal * 10 ** (-LEAST_SQNR_DB / 10)


def _applied(graph: Graph, found: Sequence[Domain], factors: Mapping[int, Float32Array]) -> Graph:
    constants: dict[str, Float32Array] = {}
    for number, values in factors.items():
        rescale(constants, graph, found[number], values)
    return with_constants(graph, constants)
