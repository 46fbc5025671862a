"""The spoilt network computes the same in float."""

import numpy as np
import pytest
import torch

from edge.errors import UsageError
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.quantization.qat.freeze import float_graph
from tests.benchmarks.bad_layer import with_uneven_channel


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.Conv2d(8, 8, 1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, groups=8),
    )
    return float_graph(layers.eval(), torch.zeros(1, 3, 8, 8))


def test_float_does_not_notice_and_the_range_does(graph: Graph) -> None:
    name, output = graph.operators[0].name, graph.operators[0].outputs[0]
    bad = with_uneven_channel(graph, name, 2, 1000.0)
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(FloatRun(bad).run([image])[0], FloatRun(graph).run([image])[0], rtol=1e-3, atol=1e-4)
    before = dict(FloatRun(graph).stream([image]))[output]
    after = dict(FloatRun(bad).stream([image]))[output]
    np.testing.assert_allclose(after[0, 2], 1000 * before[0, 2], rtol=1e-3, atol=1e-3)


def test_what_float_would_notice_is_refused(graph: Graph) -> None:
    """A rectified output, one that no convolution reads, and a name that is no convolution."""
    with pytest.raises(UsageError, match="without an activation"):
        with_uneven_channel(graph, graph.operators[1].name, 0, 10.0)
    with pytest.raises(UsageError, match="read by 0 operators, not by one plain convolution"):
        with_uneven_channel(graph, graph.operators[2].name, 0, 10.0)
    with pytest.raises(UsageError, match="is no convolution"):
        with_uneven_channel(graph, "nothing", 0, 10.0)
