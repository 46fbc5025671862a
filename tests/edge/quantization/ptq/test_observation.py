"""What one pass keeps of a network's activations, against all of their values."""

import numpy as np
import pytest
import torch

from edge.errors import EdgeError
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.quantization.ptq.channels import domains
from edge.quantization.ptq.equalize import equalized
from edge.quantization.ptq.observation import Observation, observe
from edge.quantization.ties import range_groups
from tests.support.ptq_network import SmoothImages, uneven_graph


def seen_of(graph: Graph, images: SmoothImages) -> Observation:
    torch.set_num_threads(1)
    return observe(graph, images, range_groups(graph), means=True)


def held_to_all_values(graph: Graph, images: SmoothImages, seen: Observation) -> None:
    """Extremes and means of an observation are those of all values that the graph makes of the images."""
    values = dict(FloatRun(graph).stream([images.pixels]))
    for group in range_groups(graph):
        found = seen.histogram(group, bounds_only=True)
        every = torch.cat([values[name].reshape(-1) for name in group.sources])
        assert found.low == pytest.approx(float(every.min()), abs=1e-5)
        assert found.high == pytest.approx(float(every.max()), abs=1e-5)
    for domain in domains(graph):
        for name in domain.tensors:
            largest = values[name].abs().transpose(0, 1).flatten(1).amax(dim=1)
            np.testing.assert_allclose(seen.largest(name), largest, rtol=1e-4, atol=1e-5)
    for layer in graph.operators:
        if layer.kind == "Conv":
            wanted, found = values[layer.inputs[0]].mean(dim=0, keepdim=True), seen.mean(layer.inputs[0])
            mean = wanted if found.shape == wanted.shape else wanted.mean((2, 3), keepdim=True)
            np.testing.assert_allclose(found, mean, rtol=1e-3, atol=1e-5)


def test_one_pass_holds_what_all_values_give() -> None:
    graph, images = uneven_graph(), SmoothImages(11)
    held_to_all_values(graph, images, seen_of(graph, images))


@pytest.mark.parametrize("values", [16, 40, 64, 100, 1000])
def test_a_last_batch_of_fewer_images_finds_its_place(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever share of the rows is kept: a small map has fewer rows than are passed over."""
    graph, images = uneven_graph(), SmoothImages(11)
    monkeypatch.setattr("edge.quantization.ptq.observation.VALUES", values)
    for size in (2, 3, 4):
        monkeypatch.setattr("edge.quantization.ptq.state.MOST_BATCH", size)
        held_to_all_values(graph, images, seen_of(graph, images))


def test_what_is_known_of_a_rescaled_network_is_what_a_pass_of_it_gives() -> None:
    graph, images = uneven_graph(), SmoothImages(11)
    ways = list(equalized(graph, seen_of(graph, images)))
    assert len(ways) == 4
    for rescaled, seen in ways:
        held_to_all_values(rescaled, images, seen)


def test_bounds_are_those_of_values_that_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, images = uneven_graph(), SmoothImages(11)
    everything = seen_of(graph, images)
    monkeypatch.setattr("edge.quantization.ptq.observation.VALUES", 64)
    few = seen_of(graph, images)
    counted = []
    for group in range_groups(graph):
        one, other = (seen.histogram(group, bounds_only=False) for seen in (everything, few))
        assert (one.low, one.high) == (other.low, other.high)
        counted.append((other.values, one.values))
    assert sum(few for few, _ in counted) < sum(many for _, many in counted) / 10


def test_values_that_are_not_finite_are_refused_by_name() -> None:
    graph, images = uneven_graph(), SmoothImages(4)
    images.pixels[2, 1, 5, 5] = np.nan
    with pytest.raises(EdgeError, match="not finite"):
        seen_of(graph, images)
