"""Let channels that are always zero carry copies of those whose rounding costs the scores most.

Trained networks have dead channels, often where they are narrowest: 2 of the 8 behind the first layer of MobileNetV1
0.25, 9 of the 32 of 1.0. In integers such a channel costs as much as any other. Here its producer makes another channel
again, half a step higher, the depthwise layers on the way treat it alike, and the layer that mixes channels takes the
mean of both: one bit more for that channel, in a network of the same shape. A channel that is zero at some positions
would lose its exact zeros by a shift: its copy is multiplied instead, which parts the two errors as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edge.errors import UnsupportedError
from edge.graph.graph import Graph
from edge.quantization.ptq.channels import Domain, domains, is_depthwise
from edge.quantization.ptq.noise import Noise, noise_of
from edge.quantization.ptq.state import Float32Array, Images, State, with_constants

COPY_FACTOR = 0.9


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Activations that depthwise layers hand on channel by channel, from one layer that mixes channels to others.

    Attributes:
        domains: one or more, each with one producer; that of the first mixes channels, as do all readers of the last.
    """

    domains: tuple[Domain, ...]


def chains_of(graph: Graph) -> tuple[Chain, ...]:
    """The chains of a float NCHW graph, in its order."""
    found = domains(graph)
    made_by = {domain.producers[0].name: domain for domain in found if len(domain.producers) == 1}
    chains = []
    for begin in made_by.values():
        if is_depthwise(begin.producers[0]):
            continue
        chain = [begin]
        while len(chain[-1].consumers) == 1 and is_depthwise(chain[-1].consumers[0]):
            following = made_by.get(chain[-1].consumers[0].name)
            if following is None or following.channels != begin.channels:
                break
            chain.append(following)
        if not any(is_depthwise(reader) for reader in chain[-1].consumers):
            chains.append(Chain(domains=tuple(chain)))
    return tuple(chains)


def with_copies(state: State, images: Images, *, seed: int, advance: Callable[[int, int], None]) -> State:
    """The state with copies in its dead channels, its grids as they are and its weights those of the float network.

    Raises:
        UnsupportedError: no channel is dead.
    """
    chains = [(chain, dead) for chain in chains_of(state.real) if (dead := _dead(state, chain))]
    if not chains:
        raise UnsupportedError("no channel is zero whatever the image")
    noise = noise_of(state, images, torch.ones(1), seed=seed)
    advance(1, 2)
    constants: dict[str, Float32Array] = {}
    for chain, dead in chains:
        _fill(state, chain, dead, noise, constants)
    graph = with_constants(state.real, constants)
    advance(2, 2)
    return State(real=graph, graph=graph, parameters=state.parameters, scheme=state.scheme, estimator=state.estimator)


def _dead(state: State, chain: Chain) -> list[int]:
    """Channels that are zero for all values that the grid of the first layer's input can hold."""
    layer = chain.domains[0].producers[0]
    scale, zero_point = state.parameters[layer.inputs[0]]
    lowest, highest = (float(scale) * (limit - zero_point) for limit in state.scheme.activation_limits)
    weight = np.asarray(state.real.constant(layer.inputs[1]), np.float64)
    weight = weight.reshape(len(weight), -1)
    most = np.maximum(weight * lowest, weight * highest).sum(axis=1) + state.real.constant(layer.inputs[2])
    dead = (most <= 0) & (layer.attributes.get("activation", "none") != "none")
    for domain in chain.domains[1:]:
        reader = domain.producers[0]
        dead &= state.real.constant(reader.inputs[2]) <= 0
        dead &= reader.attributes.get("activation", "none") != "none"
    return [int(channel) for channel in np.flatnonzero(dead)]


def _fill(state: State, chain: Chain, dead: list[int], noise: Noise, constants: dict[str, Float32Array]) -> None:
    """Write other constants for the layers of a chain."""
    names = [domain.producers[0].outputs[0] for domain in chain.domains]
    cost = torch.stack([noise.activations[name][:, 0] for name in names if name in noise.activations]).sum(dim=0)
    carriers = _shared(cost.tolist(), dead)

    def constant(name: str) -> Float32Array:
        return constants.setdefault(name, np.array(state.real.constant(name), np.float32))

    readers = chain.domains[-1].consumers
    for channel, copies in carriers.items():
        shifted = all(bool(noise.least[name][channel] > 0) for name in names if name in noise.least)
        taken = [constant(reader.inputs[1])[:, channel] / len(copies) for reader in readers]
        for number, copy in enumerate(copies):
            factor = 1.0 if shifted else COPY_FACTOR**number
            moved = 0.0
            for place, domain in enumerate(chain.domains) if number else ():
                weight, bias = (constant(name) for name in domain.producers[0].inputs[1:3])
                weight[copy] = weight[channel] * (1.0 if place else factor)
                bias[copy] = bias[channel] * factor - moved * float(weight[copy].sum())
                moved = float(state.parameters[names[place]][0]) * number / len(copies) if shifted else 0.0
                bias[copy] += moved
            for reader, column in zip(readers, taken, strict=True):
                constant(reader.inputs[1])[:, copy] = column / factor
                constant(reader.inputs[2])[:] -= column.reshape(len(column), -1).sum(axis=1) * moved


def _shared(cost: list[float], dead: list[int]) -> dict[int, list[int]]:
    """Which channels carry a channel that is copied: of n carriers a part in n^2 of the noise is left."""
    carriers = {channel: [channel] for channel in range(len(cost)) if channel not in dead}
    for spare in dead:
        gains = {
            channel: cost[channel] * (1 / len(copies) ** 2 - 1 / (len(copies) + 1) ** 2)
            for channel, copies in carriers.items()
        }
        carriers[max(gains, key=lambda channel: gains[channel])].append(spare)
    return {channel: copies for channel, copies in carriers.items() if len(copies) > 1}
