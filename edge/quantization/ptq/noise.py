"""How much of the scores' noise comes from every channel of the activations and from every weight, from gradients.

The noise e of one activation moves the scores by J e, to first order. With a random sign for every score, v, the
square of v . J e has the expectation |J e|^2, and v . J is what one pass backwards gives (Hutchinson's estimator). The
sum over the positions is taken before the square: near the input the rounding errors of neighbours are alike and add
up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edge.graph.graph import Operator
from edge.graph.passes.ending_in_scores import ending_in_scores
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.ptq.rounded import Network
from edge.quantization.ptq.state import Images, State

MOST_IMAGES = 32
BATCH_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Squared noise of the scores, in one unit.

    Attributes:
        activations: of an activation's rounding, by its name and channel, with the channel multiplied by each factor
            that was asked for before it is rounded and divided by it behind: float64 (channels, factors).
        weights: of an error of one real number in all weights of an output and an input channel, errors of the places
            of a kernel being independent, by the layer's name: float64 (outputs, inputs).
        least: the smallest value of every channel, by the activation's name: (channels,).
    """

    activations: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    least: Mapping[str, Tensor]


def noise_of(state: State, images: Images, factors: Tensor, *, seed: int) -> Noise:
    """Measure the float network of a state on its grids, on at most MOST_IMAGES of the images.

    Args:
        factors: positive, (factors,).
    """
    network = Network(ending_in_scores(state.real))
    low, high = state.scheme.activation_limits
    grids = {
        name: (float(state.parameters[name][0]), low - state.parameters[name][1], high - state.parameters[name][1])
        for group in state.groups
        if group.fixed is None
        for name in group.tensors
    }
    layers = {operator.name for operator in layers_of(network.graph)}
    generator = torch.Generator().manual_seed(seed)
    activations: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    least: dict[str, Tensor] = {}
    count = min(len(images), MOST_IMAGES)
    chosen = [index * len(images) // count for index in range(count)]
    size = 1 if network.singly else BATCH_IMAGES
    for start in range(0, count, size):
        values = _with_gradients(network, torch.from_numpy(images.batch(chosen[start : start + size])), generator)
        for operator in network.graph.operators:
            name = operator.outputs[0]
            value = values[name]
            gradient = value.grad
            if gradient is None or value.dim() < 2:
                continue
            if name in grids:
                _add(activations, name, _rounding(value.detach(), gradient, grids[name], factors))
                lowest = value.detach().transpose(0, 1).flatten(1).amin(dim=1)
                least[name] = torch.minimum(least[name], lowest) if name in least else lowest
            if operator.name in layers:
                passed = gradient * _open(value, operator.attributes.get("activation", "none"))
                found = _of_weights(operator, network.constants[operator.inputs[1]], values[operator.inputs[0]], passed)
                if found is not None:
                    _add(weights, operator.name, found)
    return Noise(activations=activations, weights=weights, least=least)


def _with_gradients(network: Network, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Every activation of some images, with the gradient of randomly signed scores."""
    values = network.begin(images)
    for operator in network.graph.operators:
        value = network.run(operator, values)
        if value.is_floating_point():
            if not value.requires_grad:
                value.requires_grad_()
            value.retain_grad()
        values[operator.outputs[0]] = value
    total = torch.zeros(())
    for name in network.graph.outputs:
        scores = values[name]
        if scores.requires_grad:
            signs = torch.randint(0, 2, scores.shape, generator=generator) * 2.0 - 1.0
            total = total + (scores * signs).sum() / scores.detach().square().mean().clamp(min=1e-12).sqrt()
    total.backward()  # type: ignore[no-untyped-call]  # torch's stub
    return values


def _rounding(value: Tensor, gradient: Tensor, grid: tuple[float, int, int], factors: Tensor) -> Tensor:
    """Squared noise by channel and factor; what is the same everywhere in a channel is the bias's to take up."""
    scale, low, high = grid
    parts = []
    for factor in factors.tolist():
        error = (value * (factor / scale)).round_().clamp_(low, high).mul_(scale / factor).sub_(value)
        by_channel = error.transpose(0, 1).flatten(1)
        error -= by_channel.mean(dim=1).reshape(1, -1, *(1,) * (value.dim() - 2))
        parts.append((error * gradient).reshape(*value.shape[:2], -1).sum(dim=2).double().square().sum(dim=0))
    return torch.stack(parts, dim=1)


def _open(value: Tensor, activation: str) -> Tensor:
    """1 where a rectifier lets a gradient through."""
    if activation == "none":
        return torch.ones_like(value)
    above = value.detach() > 0
    return (above & (value.detach() < 6.0) if activation == "relu6" else above).float()


def _of_weights(operator: Operator, weight: Tensor, x: Tensor, gradient: Tensor) -> Tensor | None:
    """Squares of every image's gradient of the weights, summed over a kernel: (O, I); None of a grouped layer."""
    if operator.kind == "Gemm":
        return torch.einsum("no,ni->noi", gradient.flatten(0, -2), x.detach().flatten(0, -2)).double().square().sum(0)
    attributes = operator.attributes
    if attributes["group"] != 1:
        return None
    top, left, bottom, right = attributes["pads"]
    columns = functional.unfold(
        functional.pad(x.detach(), (left, right, top, bottom)),
        tuple(weight.shape[2:]), tuple(attributes["dilations"]), 0, tuple(attributes["strides"]),
    )  # fmt: skip
    found = torch.einsum("nop,nip->noi", gradient.flatten(2), columns).double().square().sum(dim=0)
    return found.reshape(weight.shape[0], weight.shape[1], -1).sum(dim=2)


def _add(into: dict[str, Tensor], name: str, part: Tensor) -> None:
    into[name] = into[name] + part if name in into else part
