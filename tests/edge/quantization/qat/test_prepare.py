import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from edge.errors import EdgeError, UsageError
from edge.quantization.qat.phase import CALIBRATE, TRAIN_FOLDED, TRAIN_FROZEN
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, range_parameters, set_phase
from tests.support.quantization_networks import SIZE_HW, Branches, TinyResNet, images, trained_statistics

EXAMPLE = torch.zeros(1, 3, *SIZE_HW)


def observed(model: nn.Module, options: QatOptions | None = None, batches: int = 3) -> QuantizedModel:
    prepared = prepare_qat(model, EXAMPLE, options=options)
    set_phase(prepared, CALIBRATE)
    prepared.train()
    for seed in range(batches):
        prepared(images(4, seed))
    set_phase(prepared, TRAIN_FOLDED)
    return prepared.eval()


def test_without_fake_quantization_it_is_the_float_model() -> None:
    model = trained_statistics(TinyResNet())
    prepared = prepare_qat(model, EXAMPLE).eval()
    with torch.no_grad():
        assert torch.allclose(prepared(images(3)), model(images(3)), atol=1e-5)


def test_training_batch_norm_is_live_until_it_is_frozen() -> None:
    model = trained_statistics(TinyResNet()).train()
    prepared = prepare_qat(model, EXAMPLE)
    norm = prepared.layers["stem/0+stem/1"].norm
    assert isinstance(norm, nn.BatchNorm2d)
    before = norm.running_mean.clone()
    prepared(images(4))
    assert not torch.equal(norm.running_mean, before)
    set_phase(prepared, CALIBRATE)
    before = norm.running_mean.clone()
    prepared(images(4))
    assert torch.equal(norm.running_mean, before)


def test_live_and_folded_batch_norm_have_the_same_integer_weights() -> None:
    from edge.quantization.qat.fake_quant import fake_quantize_weight, weight_scales

    layer = prepare_qat(trained_statistics(TinyResNet()), EXAMPLE).layers["stem/0+stem/1"]
    weight, (folded, _) = layer.layer.weight, layer.folded()
    plain = (
        fake_quantize_weight(weight, weight_scales(weight, None, None))
        / weight_scales(weight, None, None)[:, None, None, None]
    )
    scale = weight_scales(folded, None, None)[:, None, None, None]
    sign = torch.sign(layer.norm.weight)[:, None, None, None]
    differing = (torch.round(plain) != sign * torch.round(folded / scale)).float().mean()
    assert differing < 0.01


@pytest.mark.parametrize("ranges", ["learned", "moving_average"])
def test_it_trains_and_the_ranges_follow_their_option(ranges: str) -> None:
    prepared = observed(trained_statistics(TinyResNet()), QatOptions(ranges=ranges)).train()  # type: ignore[arg-type]
    before = [parameter.detach().clone() for parameter in range_parameters(prepared)]
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.2)
    target = torch.arange(8) % 2
    x = 0.3 * images(8) + (target - 0.5).reshape(-1, 1, 1, 1)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(prepared(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    moved = [not torch.equal(a, b) for a, b in zip(before, range_parameters(prepared), strict=True)]
    assert any(moved) == (ranges == "learned")


def test_rectified_ranges_start_at_zero_and_relu6_ends_at_six() -> None:
    class Rectified(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.relu6(self.conv(x))

    model = Rectified()
    model.conv.bias.data.fill_(50.0)
    prepared = observed(model)
    scale, zero_point = prepared.quantizer("relu6").parameters_now()
    assert zero_point == -128
    assert scale * 255 == pytest.approx(6.0, abs=1e-6)


def test_tied_tensors_share_one_quantizer() -> None:
    prepared = observed(Branches())
    tied = ["a", "avg_pool2d", "relu6", "interpolate", "cat"]
    assert len({id(prepared.quantizer(name)) for name in tied}) == 1
    assert prepared.quantizer("a").group.sources == ("a", "relu6")
    assert prepared.quantizer("x") is not prepared.quantizer("a")
    assert float(prepared.quantizer("a").low) < 0


def test_the_union_of_the_sources_is_the_range() -> None:
    quantizer = observed(Branches()).quantizer("a")
    assert float(quantizer.low) == float(quantizer.source_low.min())
    assert float(quantizer.high) == float(quantizer.source_high.max())


def test_outputs_lie_on_their_grid() -> None:
    prepared = observed(trained_statistics(TinyResNet()))
    scale, zero_point = prepared.quantizer("fc").parameters_now()
    with torch.no_grad():
        steps = prepared(images(3)) / scale + zero_point
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.min() > -128.5 and steps.max() < 127.5


def test_a_state_dict_restores_everything() -> None:
    prepared = observed(trained_statistics(TinyResNet()), QatOptions(ranges="learned"))
    other = prepare_qat(TinyResNet(), EXAMPLE, options=QatOptions(ranges="learned")).eval()
    other.load_state_dict(prepared.state_dict())
    set_phase(other, TRAIN_FOLDED)
    with torch.no_grad():
        assert torch.equal(other(images(2)), prepared(images(2)))


def test_a_deep_copy_is_independent_and_equal() -> None:
    prepared = observed(trained_statistics(TinyResNet()))
    twin = copy.deepcopy(prepared)
    with torch.no_grad():
        before = prepared(images(2))
        assert torch.equal(twin(images(2)), before)
        for parameter in twin.parameters():
            parameter.mul_(0.5)
        assert torch.equal(prepared(images(2)), before)


def test_evaluation_is_deterministic_and_observes_nothing() -> None:
    prepared = observed(trained_statistics(TinyResNet()))
    set_phase(prepared, replace(TRAIN_FROZEN, observe=True))
    with torch.no_grad():
        prepared(images(2))
        before = {key: value.clone() for key, value in prepared.state_dict().items()}
        assert torch.equal(prepared(3 * images(2)), prepared(3 * images(2)))
    assert all(torch.equal(value, before[key]) for key, value in prepared.state_dict().items())


def test_channels_last_and_autocast_change_no_more_than_float_noise() -> None:
    prepared = observed(Branches())
    with torch.no_grad():
        plain = prepared(images(2))
        last = prepared.to(memory_format=torch.channels_last)(images(2).to(memory_format=torch.channels_last))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = prepared(images(2))
    scale, _ = prepared.quantizer(prepared.graph.outputs[0]).parameters_now()
    assert cast.dtype == torch.float32
    assert ((plain - last).abs() / scale).max() < 1.5 and ((plain - cast).abs() / scale).max() < 1.5


def test_a_range_that_nothing_gave_is_refused_by_name() -> None:
    prepared = prepare_qat(TinyResNet().eval(), EXAMPLE)  # prepared in the model's own mode, which observes nothing
    prepared(images(1))
    set_phase(prepared, TRAIN_FOLDED)
    with pytest.raises(EdgeError, match=r"'x' has no range yet; .* in training mode \(\.train\(\)\) first"):
        prepared(images(1))


def test_values_that_are_not_finite_are_refused_by_name() -> None:
    model = TinyResNet()
    model.fc.weight.data[0, 0] = float("nan")
    prepared = prepare_qat(model.train(), EXAMPLE)
    with pytest.raises(EdgeError, match="'fc' holds a value that is not finite"):
        prepared(images(2))


def test_another_input_size_is_refused() -> None:
    with pytest.raises(UsageError, match="prepared for images"):
        prepare_qat(TinyResNet(), EXAMPLE)(torch.zeros(1, 3, 8, 8))


def test_options_that_do_not_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="ranges is 'lerned'"):
        QatOptions(ranges="lerned")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="momentum is 0"):
        QatOptions(momentum=0.0)
    with pytest.raises(UsageError, match="was not prepared"):
        set_phase(TinyResNet(), replace(TRAIN_FROZEN, observe=True))
