"""Which activations can be rescaled, and that rescaling changes nothing but the use of their integers."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.passes.rewrite import rebuild
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.channels import CEILING, domains
from edge.quantization.ptq.equalize import MARGINS, equalized
from edge.quantization.ptq.observation import observe
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases
from edge.quantization.ties import range_groups
from tests.support.ptq_network import SmoothImages, uneven_graph


def largest_of_channels(graph: Graph, images: SmoothImages, name: str) -> np.ndarray:
    (value,) = (value for key, value in FloatRun(graph).stream([images.batch(range(len(images)))]) if key == name)
    return value.abs().transpose(0, 1).flatten(1).amax(1).numpy()


def test_the_domains_of_a_network_with_a_sum() -> None:
    graph = uneven_graph()
    found = domains(graph)
    assert [domain.read_by_channel for domain in found] == [True, False, False]
    first, second, third = found
    assert [layer.kind for layer in third.producers] == ["Conv", "Conv"]
    assert [layer.kind for layer in third.consumers] == ["Conv", "Gemm"]
    assert first.bounded and second.bounded and not third.bounded
    assert not {*graph.inputs, *graph.outputs} & {name for domain in found for name in domain.tensors}


def test_rescaling_keeps_every_answer_on_the_images_it_looked_at() -> None:
    graph, images = uneven_graph(), SmoothImages(12)
    wanted = FloatRun(graph).run([images.pixels])[0]
    for candidate, _ in equalized(graph, observe(graph, images, range_groups(graph), means=False)):
        found = FloatRun(candidate).run([images.pixels])[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_channels_read_one_by_one_reach_the_ceiling_of_their_rectifier() -> None:
    graph, images = uneven_graph(), SmoothImages(12)
    name = domains(graph)[0].tensors[0]
    before = largest_of_channels(graph, images, name)
    assert before.min() < CEILING / 20
    seen = observe(graph, images, range_groups(graph), means=False)
    for margin, candidate in zip(MARGINS, [made for made, _ in equalized(graph, seen)][1:], strict=True):
        after = largest_of_channels(candidate, images, name)
        lifted = before * margin < CEILING
        np.testing.assert_allclose(after[lifted & (before > 0.2)], CEILING / margin, rtol=1e-4)
        np.testing.assert_allclose(after[~lifted], before[~lifted], rtol=1e-5)


class Gated(nn.Module):
    """A rectified map that a sigmoid reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.second = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return self.second(x) * torch.sigmoid(x).mean((1, 2, 3), keepdim=True)  # type: ignore[no-any-return]


def test_what_a_gate_reads_is_left_alone() -> None:
    graph = with_biases(prepared(float_graph(Gated().eval(), torch.zeros(1, 3, 8, 8))))
    assert domains(graph) == ()
    images = SmoothImages(2)
    images.pixels = images.pixels[:, :, :8, :8]
    assert list(equalized(graph, observe(graph, images, range_groups(graph), means=False))) == []


def test_a_weight_of_two_layers_is_left_alone() -> None:
    two = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)).eval()
    graph = with_biases(prepared(float_graph(two, torch.zeros(1, 3, 8, 8))))
    assert len(domains(graph)) == 1
    first, second = graph.operators
    shared = replace(second, inputs=(second.inputs[0], *first.inputs[1:]))
    assert domains(rebuild(graph, [first, shared])) == ()
