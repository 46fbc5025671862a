"""Least-squares rounding: the integers of an output channel are chosen together."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.artifact.scheme import WEIGHT_MAX
from edge.errors import UsageError
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.layers import FoldedLayer
from edge.quantization.qat.least_squares import choose_weights, descend
from edge.quantization.qat.phase import CALIBRATE, TRAIN_FOLDED
from edge.quantization.qat.prepare import QuantizedModel, prepare_qat, set_phase
from edge.quantization.qat.rounding import round_by_least_squares


class Differences(nn.Module):
    """A stem, a depthwise layer whose large weights cancel, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.classifier = nn.Linear(8, 5)
        assert self.norm.running_var is not None
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            self.norm.weight.copy_(torch.rand(8, generator=generator) + 0.5)
            self.norm.running_var.copy_(torch.rand(8, generator=generator) + 0.5)
            self.depthwise.weight.mul_(30.0)
            self.depthwise.weight.sub_(self.depthwise.weight.mean((2, 3), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 5)."""
        x = nn.functional.relu6(self.norm(self.stem(x)))
        return self.classifier(nn.functional.relu6(self.depthwise(x)).mean((2, 3)))  # type: ignore[no-any-return]


def smooth_images(count: int, seed: int) -> Tensor:
    """Images whose neighbouring pixels are alike, as in photographs: float (n, 3, 24, 24) in [-1, 1]."""
    coarse = torch.rand((count, 3, 4, 4), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return nn.functional.interpolate(coarse, size=(24, 24), mode="bilinear")


def prepared_model(images: Tensor) -> QuantizedModel:
    prepared = prepare_qat(Differences().eval(), torch.zeros(1, 3, 24, 24))
    prepared.train()
    set_phase(prepared, CALIBRATE)
    prepared(images)
    set_phase(prepared, TRAIN_FOLDED)
    return prepared.eval()


def output_error(prepared: QuantizedModel, images: Tensor) -> float:
    with torch.no_grad():
        return float((prepared(images) - Differences().eval()(images)).square().mean())


def test_outputs_on_unseen_images_come_closer_to_the_float_outputs() -> None:
    prepared = prepared_model(smooth_images(32, 1))
    unseen = smooth_images(32, 2)
    nearest = output_error(prepared, unseen)
    round_by_least_squares(prepared, smooth_images(32, 1))
    assert output_error(prepared, unseen) < 0.7 * nearest


def test_the_chosen_integers_are_those_that_freeze_exports() -> None:
    prepared = prepared_model(smooth_images(8, 1))
    round_by_least_squares(prepared, smooth_images(8, 1))
    graph = freeze(prepared)
    for operator in (operator for operator in graph.operators if operator.name in prepared.layer_of):
        layer = prepared.layers[prepared.layer_of[operator.name]]
        assert isinstance(layer, FoldedLayer)
        weight = layer.folded()[0].detach().numpy()
        stored = graph.tensors[operator.inputs[1]]
        assert stored.quantization is not None and stored.data is not None
        column = stored.quantization.scale.reshape(-1, *(1,) * (weight.ndim - 1))
        np.testing.assert_allclose(weight / column, stored.data, atol=1e-3)


@pytest.mark.unhurried
def test_the_same_images_and_seed_give_the_same_weights() -> None:
    states = []
    for _ in range(2):
        prepared = prepared_model(smooth_images(8, 1))
        round_by_least_squares(prepared, smooth_images(8, 1), seed=3)
        states.append(prepared.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_dead_channel_stays_as_it_is() -> None:
    prepared = prepared_model(smooth_images(8, 1))
    layer = prepared.layers["depthwise"]
    assert isinstance(layer, FoldedLayer)
    with torch.no_grad():
        layer.layer.weight[3] = 0.0
    round_by_least_squares(prepared, smooth_images(8, 1))
    assert not layer.layer.weight[3].any()
    assert torch.isfinite(prepared(smooth_images(2, 2))).all()


def test_the_descent_never_ends_above_the_nearest_integers() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (2, 9, 40):
        factor = torch.randn((3, size, size), generator=generator, dtype=torch.float64)
        covariance = factor @ factor.transpose(1, 2) + 1e-3 * torch.eye(size, dtype=torch.float64)
        weight = torch.randn((3, 4, size), generator=generator, dtype=torch.float64)
        scale = weight.abs().amax(dim=2, keepdim=True) / WEIGHT_MAX

        def cost(rounded: Tensor, weight: Tensor = weight, covariance: Tensor = covariance) -> Tensor:
            error = rounded - weight
            return (torch.bmm(error, covariance) * error).sum(dim=2)

        nearest = torch.round(weight / scale) * scale
        integers = descend(weight, covariance, scale)
        assert (integers.abs() <= WEIGHT_MAX).all()
        assert (cost(integers * scale) <= cost(nearest) + 1e-12).all()
        assert (cost(choose_weights(weight, covariance)) <= cost(integers * scale) + 1e-12).all()


def test_without_images_it_is_refused() -> None:
    prepared = prepared_model(smooth_images(2, 1))
    with pytest.raises(UsageError, match="needs images"):
        round_by_least_squares(prepared, smooth_images(2, 1)[:0])


@pytest.mark.parametrize(
    "norm", [None, nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)], ids=["plain", "affine", "statistics alone"]
)
def test_set_folded_is_what_folded_gives(norm: nn.BatchNorm2d | None) -> None:
    layer = FoldedLayer(nn.Conv2d(3, 4, 3), norm)
    if norm is not None:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(torch.tensor([0.5, -1.0, 0.0, 2.0]))
        norm.running_var.copy_(torch.tensor([0.2, 1.0, 3.0, 0.9]))
    weight, bias = torch.linspace(-2, 3, 108).reshape(4, 3, 3, 3), torch.tensor([1.0, -0.25, 0.0, 7.0])
    layer.set_folded(weight, bias)
    torch.testing.assert_close(layer.folded()[0], weight)
    torch.testing.assert_close(layer.folded()[1], bias)
