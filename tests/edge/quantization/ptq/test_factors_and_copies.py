"""Factors and copies by what a channel's rounding costs the scores: the cost is true, and the noise is lower."""

from collections.abc import Collection

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.channels import domains
from edge.quantization.ptq.copies import chains_of, with_copies
from edge.quantization.ptq.factors import with_factors
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.noise import noise_of
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import State
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases
from tests.support.ptq_network import SmoothImages, uneven_graph


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Spare(nn.Module):
    """Of four channels one is always dead; the classifier listens to the first, never zero, and to the second."""

    def __init__(self, *, dead: bool = True, scores: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(11)
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.mix = nn.Conv2d(4, 6, 1)
        self.classifier = nn.Linear(6, scores)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
            self.depthwise.weight.copy_(torch.full((4, 1, 3, 3), 1 / 9))
            self.stem.bias.copy_(torch.tensor([3.0, 0.5, -50.0 if dead else 0.5, 0.5]))
            self.depthwise.bias.copy_(torch.tensor([0.5, 0.1, -0.1, 0.1]))
            self.mix.bias.fill_(1.0)
            self.mix.weight.mul_(torch.tensor([3.0, 0.3, 0.3, 0.1]).reshape(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, scores)."""
        x = nn.functional.relu6(self.depthwise(nn.functional.relu6(self.stem(x))))
        return self.classifier(nn.functional.relu6(self.mix(x)).mean((2, 3)))  # type: ignore[no-any-return]


def graph_of(module: nn.Module) -> Graph:
    return with_biases(prepared(float_graph(module.eval(), torch.zeros(1, 3, 24, 24))))


def nearest(graph: Graph) -> State:
    return improve(
        graph, SmoothImages(30), steps=(), multiply_adds=0, epochs=0, decides=True, input_range=(-1.0, 1.0)
    ).state


def noise_db(graph: Graph, state: State, names: Collection[str]) -> float:
    """Noise of the scores over their signal on other images by the rounding of some activations.

    What is the same on all images is left out: it is the bias's to take up.
    """
    pixels = SmoothImages(40, seed=9).pixels
    network = RoundedNetwork(state, round_weights=False)
    network.grids = {name: grid for name, grid in network.grids.items() if name in names}
    with torch.no_grad():
        (found,) = network.outputs(torch.from_numpy(pixels))
    wanted = FloatRun(graph).run([pixels])[0]
    error = found.numpy() - wanted
    return float(10 * np.log10(np.square(error - error.mean(axis=0)).sum() / np.square(wanted).sum()))


def apart(graph: Graph, state: State) -> float:
    """Noise over signal of a state's float network against the one that was given, on other images."""
    images = SmoothImages(40, seed=9)
    wanted, found = (FloatRun(each).run([images.pixels])[0] for each in (graph, state.real))
    return float(np.square(wanted - found).sum() / np.square(wanted).sum())


def told(done: int, of: int) -> None:
    assert done <= of


def test_a_channel_costs_what_its_rounding_does_to_the_score() -> None:
    state, images = nearest(graph_of(Spare(scores=1))), SmoothImages(4)
    found = noise_of(state, images, torch.tensor([1.0, 0.5]), seed=0)
    network = Network(state.real)
    name = state.real.operators[0].outputs[0]
    scale, zero_point = state.parameters[name]

    def score(error: Tensor) -> Tensor:
        values = network.begin(torch.from_numpy(images.pixels))
        for operator in network.graph.operators:
            values[operator.outputs[0]] = network.run(operator, values)
            if operator.outputs[0] == name:
                values[name] = values[name] + error
        return values[network.graph.outputs[0]].double()

    with torch.no_grad():
        value = network.run(state.real.operators[0], network.begin(torch.from_numpy(images.pixels)))
        power = score(torch.zeros(())).square().mean()
        for place, factor in enumerate((1.0, 0.5)):
            grid = (value * factor / float(scale)).round().clamp(-128 - zero_point, 127 - zero_point)
            error = grid * float(scale) / factor - value
            error = error - error.mean(dim=(0, 2, 3), keepdim=True)
            for channel in (0, 1, 3):
                alone = torch.zeros_like(error)
                alone[:, channel] = error[:, channel]
                moved = (score(alone) - score(-alone)) / 2
                expected = float(moved.square().sum() / power)
                assert float(found.activations[name][channel, place]) == pytest.approx(expected, rel=0.1)
    assert float(found.activations[name][2].abs().max()) == 0  # the dead one


def test_factors_lower_the_noise_of_activations_on_other_images() -> None:
    for graph in (uneven_graph(), graph_of(Spare())):
        state = nearest(graph)
        made = with_factors(state, SmoothImages(24), seed=0, advance=told)
        names = {name for domain in domains(graph) for name in domain.bounded}
        assert noise_db(graph, made, names) < noise_db(graph, state, names) - 0.5
        assert made.parameters == state.parameters


def test_no_factor_lifts_what_a_relu6_lets_through() -> None:
    graph = uneven_graph()
    made = with_factors(nearest(graph), SmoothImages(24), seed=0, advance=told)
    for domain in domains(graph):
        for layer in domain.producers if domain.bounded else ():
            before, after = (np.abs(each.constant(layer.inputs[2])) for each in (graph, made.real))
            assert (after >= before * (1 - 1e-6)).all()


def test_a_network_without_channels_of_its_own_has_no_factors() -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(4 * 22 * 22, 2)))
    with pytest.raises(UnsupportedError, match="between layers alone"):
        with_factors(nearest(graph), SmoothImages(10), seed=0, advance=told)


def test_a_dead_channel_carries_a_copy_and_halves_its_error() -> None:
    graph = graph_of(Spare())
    state = nearest(graph)
    made = with_copies(state, SmoothImages(24), seed=0, advance=told)
    stem = graph.operators[0].inputs
    assert made.real.constant(stem[1])[2].tobytes() == graph.constant(stem[1])[0].tobytes()  # the first, never zero
    half_step = float(state.parameters[graph.operators[0].outputs[0]][0]) / 2
    assert made.real.constant(stem[2])[2] == pytest.approx(graph.constant(stem[2])[0] + half_step)
    assert [tensor.shape for tensor in made.real.tensors.values()] == [
        tensor.shape for tensor in graph.tensors.values()
    ]
    assert apart(graph, made) < 1e-5  # the border of a padded convolution sees the half step
    names = {name for domain in chains_of(graph)[0].domains for name in domain.tensors}
    assert noise_db(graph, made, names) < noise_db(graph, state, names) - 2


def test_a_channel_that_is_zero_at_times_is_copied_smaller() -> None:
    module = Spare()
    with torch.no_grad():
        module.stem.bias[0] = 0.0
    graph = graph_of(module)
    state = nearest(graph)
    made = with_copies(state, SmoothImages(24), seed=0, advance=told)
    stem = graph.operators[0].inputs
    rows = made.real.constant(stem[1])
    source = next(row for row in (0, 1, 3) if np.allclose(rows[2], 0.9 * rows[row]))
    assert made.real.constant(stem[2])[2] == pytest.approx(0.9 * graph.constant(stem[2])[source])
    assert apart(graph, made) < 1e-9


def test_copies_follow_from_the_seed_and_need_a_dead_channel() -> None:
    state = nearest(graph_of(Spare()))
    one, other = (with_copies(state, SmoothImages(24), seed=3, advance=told) for _ in range(2))
    for name, tensor in one.real.tensors.items():
        if tensor.data is not None:
            assert tensor.data.tobytes() == other.real.constant(name).tobytes()
    with pytest.raises(UnsupportedError, match="no channel is zero"):
        with_copies(nearest(graph_of(Spare(dead=False))), SmoothImages(24), seed=0, advance=told)


def test_a_chain_ends_where_channels_mix() -> None:
    (chain, *_) = chains_of(graph_of(Spare()))
    assert [domain.producers[0].name for domain in chain.domains] == [
        operator.name for operator in graph_of(Spare()).operators[:2]
    ]


def test_a_channel_that_is_zero_on_the_images_alone_is_not_dead() -> None:
    module = Spare()
    with torch.no_grad():
        module.stem.bias[2] = -2.0  # never above 0 on smooth images, but above it on others
        module.stem.weight[2] = torch.where(module.stem.weight[2] > 0, 1.0, -1.0)
    graph = graph_of(module)
    with pytest.raises(UnsupportedError, match="no channel is zero"):
        with_copies(nearest(graph), SmoothImages(24), seed=0, advance=told)
