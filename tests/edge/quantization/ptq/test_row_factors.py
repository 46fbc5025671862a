"""Scales of weights: refined given their integers, matched to the float network's moments, and cut for least error."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.artifact.scheme import Granularity, Scheme, weight_scales
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.clip import least_error
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.qat.fake_quant import fake_quantize_weight
from edge.quantization.qat.fake_quant import weight_scales as scales_in_torch
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases
from tests.support.ptq_network import SmoothImages, uneven_graph


class Idle(nn.Module):
    """A layer whose largest weights read a colour that no image has: the others are about half a step of its scale."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.classifier = nn.Linear(4, 3)
        with torch.no_grad():
            for layer in (self.layer, self.classifier):
                nn.init.zeros_(layer.get_parameter("bias"))
            signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
            self.layer.weight[:, 0] = 100.0
            self.layer.weight[:, 1:] = 0.47 * signs[..., None, None]
            self.classifier.weight.copy_(torch.randn(3, 4, generator=torch.Generator().manual_seed(2)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 3)."""
        return self.classifier(torch.relu(self.layer(x)).mean((2, 3)))  # type: ignore[no-any-return]


class Greenish(SmoothImages):
    """Images whose first channel is 0."""

    def __init__(self, count: int, seed: int = 0) -> None:
        super().__init__(count, seed)
        self.pixels[:, 0] = 0.0


def idle() -> Graph:
    return with_biases(prepared(float_graph(Idle().eval(), torch.zeros(1, 3, 24, 24))))


def improved(*steps: str, granularity: Granularity = "per_channel") -> Improved:
    torch.set_num_threads(1)
    return improve(
        idle(), Greenish(30), steps=steps, multiply_adds=0, epochs=0, decides=True,
        scheme=Scheme(weight_granularity=granularity), input_range=(-1.0, 1.0), seed=3,
    )  # fmt: skip


@pytest.mark.parametrize("step", ["scales", "batch_norm"])
def test_a_layer_that_rounding_makes_too_loud_is_turned_down(step: str) -> None:
    made, corrected = improved(step), improved("bias")
    assert made.outcomes[0].kept and made.total.sqnr_db > corrected.total.sqnr_db + 10
    others = Judge(idle(), Greenish(20, seed=8), decides=True)
    assert others.total(made.state).sqnr_db > others.total(corrected.state).sqnr_db + 10
    weight = made.state.quantized.operators[0].inputs[1]
    plain, found = (one.quantized.tensors[weight] for one in (improved().state, made.state))
    assert plain.quantization is not None and found.quantization is not None
    assert np.array_equal(np.array(plain.data), np.array(found.data))  # the same integers
    assert (found.quantization.scale < 0.7 * plain.quantization.scale).all()


def test_one_scale_is_refined_by_one_factor() -> None:
    made = improved("scales", granularity="per_tensor")
    assert made.outcomes[0].kept and made.total.sqnr_db > made.plain.sqnr_db + 10
    weight = made.state.quantized.tensors[made.state.quantized.operators[0].inputs[1]]
    assert weight.quantization is not None and weight.quantization.scale.size == 1


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("shape", [(16, 1, 3, 3), (8, 64, 3, 3), (10, 96)])
def test_the_best_range_of_a_weight_errs_no_more_than_the_widest(
    shape: tuple[int, ...], granularity: Granularity
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = least_error(weight, granularity)
    plain = fake_quantize_weight(weight, scales_in_torch(weight, None, None, granularity))

    def error(rounded: Tensor) -> Tensor:
        rows = (rounded - weight).double().square().flatten(1).sum(dim=1)
        return rows if granularity == "per_channel" else rows.sum(dim=0, keepdim=True)

    assert (error(found) <= error(plain) * (1 + 1e-6)).all()
    assert error(found).sum() < error(plain).sum()
    scale = weight_scales(found.numpy(), granularity=granularity).reshape(-1, *(1,) * (len(shape) - 1))
    np.testing.assert_allclose(np.rint(found.numpy() / scale) * scale, found.numpy(), rtol=1e-5)


def test_one_large_weight_among_very_many_is_cut() -> None:
    weight = torch.randn(1, 100_000, generator=torch.Generator().manual_seed(1)) * 0.1
    weight[0, 7] = 4.0
    found = least_error(weight, "per_channel")
    plain = fake_quantize_weight(weight, scales_in_torch(weight, None, None, "per_channel"))
    assert float(found[0, 7]) < 3.7
    assert float((found - weight).square().sum()) < 0.9 * float((plain - weight).square().sum())


def test_weights_that_err_less_come_nearer() -> None:
    torch.set_num_threads(1)
    graph = uneven_graph()
    made = improve(
        graph, SmoothImages(30), steps=("clip",), multiply_adds=0, epochs=0, decides=True, input_range=(-1.0, 1.0)
    )
    assert made.outcomes[0].kept and made.total.sqnr_db > made.plain.sqnr_db + 1
    for layer in layers_of(graph):
        weight = torch.from_numpy(np.array(graph.constant(layer.inputs[1])))
        plain = fake_quantize_weight(weight, scales_in_torch(weight, None, None, "per_channel"))
        found = torch.from_numpy(np.array(made.state.graph.constant(layer.inputs[1])))
        assert float((found - weight).square().sum()) <= float((plain - weight).square().sum()) * (1 + 1e-6)
