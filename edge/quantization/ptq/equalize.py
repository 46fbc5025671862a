"""Rescale channels so that small ones use more of their tensor's integers: equalization for activations.

A tensor's channels share one scale, so that a channel of a tenth of the range has a tenth of the integers. Positive
factors per channel pass through rectifiers, pools and sums: the layer before is multiplied by them, the layer behind
divided (Nagel et al., arXiv 1906.04721, section 4.1, where the ranges of *weights* are equalized; here weights have a
scale per output channel, and what is evened out are activations). A ReLU6 stays one where no factor lifts a channel
above 6 on the images; on others it may cut a channel where it did not before, which the judge measures. Where a layer
that mixes channels reads them, its weights lose what its input gains, so that half of the way is gone (in logarithms).
"""

from collections.abc import Iterator, Mapping, Sequence

import torch

from edge.graph.graph import Graph
from edge.quantization.ptq.channels import CEILING, Domain, domains, rescale
from edge.quantization.ptq.observation import Observation
from edge.quantization.ptq.state import Float32Array, with_constants

SHARE_WHERE_MIXED = 0.5
LARGEST_FACTOR = 64.0
MARGINS = (1.0, 2.0, 4.0)
"""Room that a channel keeps below the ceiling of a ReLU6, as a multiple of what the images showed: with few positions
or rarely active channels other images go beyond."""
MOST_WAYS = 1 + len(MARGINS)


def equalized(graph: Graph, seen: Observation) -> Iterator[tuple[Graph, Observation]]:
    """The same network, up to rectifiers at 6, with evened-out channels, in several ways.

    First without touching what ends in a ReLU6, where there is anything else, then everything with each of MARGINS.
    Nothing where no activation stands between layers alone.

    Args:
        graph: float, NCHW, rectifiers fused. seen: of it, that the largest magnitude of a channel is taken from.

    Returns:
        Each with what would be seen of it on the same images.
    """
    found = domains(graph)
    largest = {name: seen.largest(name) for domain in found for name in domain.tensors}
    unbounded = tuple(domain for domain in found if not domain.bounded)
    ways = [(unbounded, 1.0)] if unbounded else []
    if len(unbounded) < len(found):
        ways += [(found, margin) for margin in MARGINS]
    for chosen, margin in ways:
        factors = [(domain, _factors(domain, largest, margin)) for domain in chosen]
        yield rescaled(graph, factors), seen.rescaled(factors)


def rescaled(graph: Graph, found: Sequence[tuple[Domain, Float32Array]]) -> Graph:
    """The graph with the channels of some activations multiplied by positive factors (channels,)."""
    constants: dict[str, Float32Array] = {}
    for domain, factors in found:
        rescale(constants, graph, domain, factors)
    return with_constants(graph, constants)


def _factors(domain: Domain, largest: Mapping[str, torch.Tensor], margin: float) -> Float32Array:
    """A factor per channel, 1 for the largest: float32 (channels,)."""
    share = torch.zeros(domain.channels)
    for name in domain.tensors:
        if name in domain.bounded:
            share = torch.maximum(share, largest[name] * margin / CEILING)
        elif bool(largest[name].any()):
            share = torch.maximum(share, largest[name] / largest[name].max())
    share = torch.where(share > 0, share, 1.0).clamp(min=1 / LARGEST_FACTOR, max=1.0)
    return (share ** (-1.0 if domain.read_by_channel else -SHARE_WHERE_MIXED)).numpy()
