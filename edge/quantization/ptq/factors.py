"""Choose the factor of every channel by what its rounding costs the scores, against what it costs the weights.

The largest magnitude of a channel, which `equalize` goes by, tells nothing of how much the scores depend on it, nor
whether a rare peak is worth the grid of all other values. Here a channel's factor is the one of the least noise in the
scores (`noise`), of clipping and of rounding; where a layer that mixes channels reads the activation, the way there is
taken in quarters, as far as the noise of that layer's rounded weights does not outgrow the gain.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from edge.artifact.scheme import WEIGHT_MAX
from edge.errors import UnsupportedError
from edge.quantization.ptq.channels import Domain, domains, is_depthwise
from edge.quantization.ptq.equalize import rescaled
from edge.quantization.ptq.noise import Noise, noise_of
from edge.quantization.ptq.state import Images, State

STEPS_PER_OCTAVE = 2
OCTAVES = (-2, 5)
WEIGHT_SHARE = 0.25
"""Of the noise of weights rounded to the nearest that is left where their integers are chosen together."""
WAYS = (0.0, 0.25, 0.5, 0.75, 1.0)


def with_factors(state: State, images: Images, *, seed: int, advance: Callable[[int, int], None]) -> State:
    """The state with rescaled channels, its grids as they are and its weights those of the float network.

    Raises:
        UnsupportedError: no activation stands between layers alone.
    """
    found = domains(state.real)
    if not found:
        raise UnsupportedError("no activation stands between layers alone")
    exponents = torch.arange(STEPS_PER_OCTAVE * OCTAVES[0], STEPS_PER_OCTAVE * OCTAVES[1] + 1)
    noise = noise_of(state, images, 2.0 ** (exponents / STEPS_PER_OCTAVE), seed=seed)
    advance(1, 2)
    chosen = []
    for domain in found:
        exponent = _exponents(state, domain, noise, exponents)
        chosen.append((domain, (2.0 ** (exponent / STEPS_PER_OCTAVE)).float().numpy()))
    graph = rescaled(state.real, chosen)
    advance(2, 2)
    return State(real=graph, graph=graph, parameters=state.parameters, scheme=state.scheme, estimator=state.estimator)


def _exponents(state: State, domain: Domain, noise: Noise, exponents: Tensor) -> Tensor:
    """A channel's exponent in parts of an octave: integers (channels,). None below 0 before a ReLU6: it stays one."""
    costs = [noise.activations[name] for name in domain.tensors if name in noise.activations]
    if not costs:
        return torch.zeros(domain.channels, dtype=torch.long)
    cost = torch.stack(costs).sum(dim=0)  # (channels, factors)
    cost = cost + 1e-9 * cost.amin(dim=1, keepdim=True).clamp(min=1e-30) * exponents.abs()
    if domain.bounded:
        cost[:, exponents < 0] = torch.inf
    best = exponents[cost.argmin(dim=1)]
    tried = [torch.round(best * way).long() for way in WAYS]
    zero = int((exponents == 0).nonzero())
    totals = [
        float(cost.gather(1, (exponent + zero).unsqueeze(1)).sum()) + _weights(state, domain, noise, exponent)
        for exponent in tried
    ]
    return tried[totals.index(min(totals))]


def _weights(state: State, domain: Domain, noise: Noise, exponent: Tensor) -> float:
    """Noise of the rounded weights of the layers that mix the channels."""
    factor = (2.0 ** (exponent / STEPS_PER_OCTAVE)).double()
    total = 0.0
    for layer in domain.consumers:
        if is_depthwise(layer) or layer.name not in noise.weights:
            continue
        weight = torch.from_numpy(state.real.constant(layer.inputs[1]).copy()).double()
        largest = weight.reshape(*weight.shape[:2], -1).abs().amax(dim=2)  # (O, I)
        scale = (largest / factor).amax(dim=1) / WEIGHT_MAX
        total += float((scale.square() * (noise.weights[layer.name] * factor.square()).sum(dim=1)).sum()) / 12
    return WEIGHT_SHARE * total
