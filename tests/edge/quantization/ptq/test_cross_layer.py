"""Weights of neighbouring layers are evened out, and what a channel always has moves into the next bias."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.artifact.scheme import Granularity, Scheme
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.quantization.ptq.absorb import absorbed
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.channels import domains, rescale
from edge.quantization.ptq.cross_layer import weights_equalized
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.state import with_constants
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases
from tests.support.ptq_network import SmoothImages

PER_TENSOR = Scheme(weight_granularity="per_tensor")


class Chain(nn.Module):
    """A convolution, a depthwise and a 1x1 one, each rectified, and a classifier."""

    def __init__(self, rectifier: nn.Module) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project = nn.Conv2d(16, 16, 1)
        self.classifier = nn.Linear(16, 5)
        self.rectifier = rectifier
        with torch.no_grad():
            for parameter in self.parameters():
                fan = parameter[0].numel() if parameter.dim() > 1 else 1
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.5 / fan) ** 0.5)
            for layer in (self.stem, self.depthwise, self.project):
                assert layer.bias is not None
                layer.bias.mul_(0.2)
            self.classifier.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 5)."""
        for layer in (self.stem, self.depthwise, self.project):
            x = self.rectifier(layer(x))
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


def chain(rectifier: nn.Module) -> Graph:
    return with_biases(prepared(float_graph(Chain(rectifier).eval(), torch.zeros(1, 3, 24, 24))))


def unbalanced(graph: Graph, low: float, high: float) -> Graph:
    """The same network, where nothing reaches 6, with every channel rescaled by a factor of its own."""
    constants: dict[str, np.ndarray] = {}
    random = np.random.default_rng(0)
    for domain in domains(graph):
        factors = np.exp(random.uniform(np.log(low), np.log(high), domain.channels)).astype(np.float32)
        rescale(constants, graph, domain, factors)
    return with_constants(graph, constants)


def improved(graph: Graph, step: str, scheme: Scheme = PER_TENSOR) -> Improved:
    torch.set_num_threads(1)
    return improve(
        graph, SmoothImages(30), steps=(step,), multiply_adds=0, epochs=0, decides=True, scheme=scheme,
        input_range=(-1.0, 1.0), seed=3,
    )  # fmt: skip


def spread(graph: Graph) -> float:
    """The largest ratio of two rows' weights in a layer."""
    ratios = []
    for operator in graph.operators:
        if operator.kind in ("Conv", "Gemm"):
            rows = np.abs(graph.constant(operator.inputs[1]))
            rows = rows.reshape(len(rows), -1).max(axis=1)
            ratios.append(rows.max() / rows.min())
    return float(max(ratios))


def test_factors_of_one_channel_each_are_undone() -> None:
    balanced = chain(nn.ReLU())
    graph = unbalanced(balanced, 0.01, 1.0)
    (found,) = weights_equalized(graph, SmoothImages(8), "per_tensor")
    (wanted,) = weights_equalized(balanced, SmoothImages(8), "per_tensor")
    assert spread(graph) > 50 > 15 > spread(found)
    for one, other in zip(found.operators, wanted.operators, strict=True):
        if one.kind in ("Conv", "Gemm"):  # up to a factor of the whole layer
            a, b = found.constant(one.inputs[1]), wanted.constant(other.inputs[1])
            np.testing.assert_allclose(a / np.abs(a).max(), b / np.abs(b).max(), atol=0.02)
    x = SmoothImages(8, seed=4).pixels
    before, after = (FloatRun(one).run([x])[0] for one in (graph, found))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * np.abs(before).max())


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU6()])
def test_a_network_that_one_scale_per_weight_ruins_is_brought_back(rectifier: nn.Module) -> None:
    graph = unbalanced(chain(rectifier), 0.002, 1.0)
    made = improved(graph, "cross_layer")
    (outcome,) = made.outcomes
    assert outcome.kept and made.total.sqnr_db > made.plain.sqnr_db + 20
    others = Judge(graph, SmoothImages(20, seed=8), decides=True)
    assert others.total(made.state).sqnr_db > made.plain.sqnr_db + 20


def test_factors_of_a_rectifier_at_six_lift_nothing_above_it() -> None:
    graph, images = unbalanced(chain(nn.ReLU6()), 0.01, 1.0), SmoothImages(12)
    ways = list(weights_equalized(graph, images, "per_tensor"))
    kept = ways[-2]  # behind those that leave it alone, before those that give it up
    assert [op.attributes.get("activation") for op in kept.operators].count("relu6") == 3
    assert "relu6" not in [op.attributes.get("activation") for op in ways[-1].operators]
    wanted = FloatRun(graph).run([images.pixels])[0]
    for way in ways:
        np.testing.assert_allclose(FloatRun(way).run([images.pixels])[0], wanted, rtol=1e-3, atol=1e-3)


def test_a_rectifier_whose_six_matters_is_kept() -> None:
    graph = chain(nn.ReLU6())
    layer = graph.operators[1]
    lifted = with_constants(graph, {layer.inputs[1]: np.array(graph.constant(layer.inputs[1])) * 60})
    ways = [[op.attributes.get("activation") for op in way.operators] for way in
            weights_equalized(lifted, SmoothImages(12), "per_tensor")]  # fmt: skip
    assert [way.count("relu6") for way in ways[:2]] == [3, 0]
    assert ways[2][1] == "relu6" and ways[2][0] == "relu"


@pytest.mark.parametrize(("granularity", "even"), [("per_tensor", True), ("per_channel", False)])
def test_rows_are_left_alone_where_each_has_a_scale(granularity: Granularity, even: bool) -> None:
    graph = unbalanced(chain(nn.ReLU()), 0.01, 1.0)
    (found,) = weights_equalized(graph, SmoothImages(8), granularity)
    stem = found.operators[0].inputs[1]
    assert np.array_equal(found.constant(stem), graph.constant(stem)) != even


def biased(graph: Graph, index: int, value: float) -> Graph:
    name = graph.operators[index].inputs[2]
    return with_constants(graph, {name: np.array(graph.constant(name)) + np.float32(value)})


def test_a_high_bias_moves_behind() -> None:
    graph = biased(chain(nn.ReLU()), 2, 40.0)  # read by a mean and a classifier, which no padding stands between
    found = next(iter(absorbed(graph, SmoothImages(20))))
    x = SmoothImages(20).pixels
    before, after = (FloatRun(one).run([x])[0] for one in (graph, found))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3)
    made = improved(graph, "absorption")
    (outcome,) = made.outcomes
    assert outcome.kept and made.total.sqnr_db > made.plain.sqnr_db + 4
    others = Judge(graph, SmoothImages(20, seed=8), decides=True)
    assert others.total(made.state).sqnr_db > others.total(improved(graph, "bias").state).sqnr_db + 2


def test_nothing_moves_where_a_channel_reaches_zero_or_six() -> None:
    graph = chain(nn.ReLU())
    for index in range(3):
        graph = biased(graph, index, -40.0)
    assert list(absorbed(graph, SmoothImages(20))) == []
    graph = chain(nn.ReLU6())
    for index in range(3):
        graph = biased(graph, index, 40.0)
    assert list(absorbed(graph, SmoothImages(20))) == []
    made = improved(graph, "absorption")
    assert made.outcomes[0].refused == "no rectified channel stays above 0"


def test_a_padded_reader_is_tried_apart() -> None:
    graph = biased(chain(nn.ReLU()), 0, 10.0)
    graph = biased(graph, 2, 10.0)
    first, second, *_ = absorbed(graph, SmoothImages(20))
    x = SmoothImages(20).pixels
    wanted, unpadded, padded = (FloatRun(one).run([x])[0] for one in (graph, first, second))
    np.testing.assert_allclose(unpadded, wanted, rtol=1e-3, atol=1e-3)
    assert np.abs(padded - wanted).max() > 0.01  # its border changed


def test_a_shared_producer_is_no_reason_to_fail() -> None:
    graph = chain(nn.ReLU())
    replaced = replace(graph, operators=tuple(
        replace(op, attributes={**op.attributes, "activation": "none"}) if op.kind == "Conv" else op
        for op in graph.operators
    ))  # fmt: skip
    assert list(absorbed(replaced, SmoothImages(4))) == []


def test_weights_that_read_nothing_are_no_reason_for_a_coarse_scale() -> None:
    graph = chain(nn.ReLU())
    stem, depthwise = (graph.operators[index] for index in (0, 1))
    constants = {name: np.array(graph.constant(name)) for name in (*stem.inputs[1:], *depthwise.inputs[1:])}
    for values in constants.values():
        values[3] = 0.0
    constants[stem.inputs[2]][3] = -1.0  # never passes the rectifier
    constants[depthwise.inputs[1]][3] = 300.0
    dead = with_constants(graph, constants)
    made = improved(dead, "idle")
    assert made.outcomes[0].kept and made.total.sqnr_db > made.plain.sqnr_db + 15
    found = made.state.graph.constant(depthwise.inputs[1])
    assert not found[3].any() and found[4].any()
    others = Judge(dead, SmoothImages(20, seed=8), decides=True)
    assert others.total(made.state).sqnr_db > made.plain.sqnr_db + 15
    assert not improved(graph, "idle").outcomes[0].kept


def test_a_dead_layer_has_no_factors() -> None:
    graph = chain(nn.ReLU())
    weight = graph.operators[1].inputs[1]
    dead = with_constants(graph, {weight: np.zeros_like(graph.constant(weight))})
    (found,) = weights_equalized(dead, SmoothImages(8), "per_tensor")
    assert all(np.isfinite(tensor.data).all() for tensor in found.tensors.values() if tensor.data is not None)
