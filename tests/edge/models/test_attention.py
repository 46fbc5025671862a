"""GCT and CBAM: their papers' formulas written out, where they stand, what they cost, and how they start."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edge.errors import UsageError
from edge.models.attention import ATTENTION, attention_paths
from edge.models.cbam import ConvolutionalBlockAttention
from edge.models.count import count_module
from edge.models.gct import GatedChannelTransformation
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from tests.edge.models.test_networks import SMALL
from tests.support.networks import outputs_of

TAKES_ATTENTION = [name for name in SMALL if name != "rednet"]


def moved(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with parameters and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
    return module.eval()


def column(x: Tensor) -> Tensor:
    return x.reshape(1, -1, 1, 1)


def test_gct_is_the_papers_formula() -> None:
    module = moved(GatedChannelTransformation(12)).double()
    x = torch.randn(3, 12, 5, 7, dtype=torch.float64)
    alpha, gamma, beta = module.alpha, module.gamma, module.gate.bias
    assert (alpha > 0).all()  # its sign belongs to gamma
    embedding = column(alpha) * (x.square().sum((2, 3), keepdim=True) + 1e-5).sqrt()
    normalized = math.sqrt(12) * embedding / embedding.square().sum(1, keepdim=True).sqrt()
    expected = x * (1 + torch.tanh(column(gamma) * normalized + column(beta)))
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)


def test_the_sign_of_alpha_is_that_of_gamma() -> None:
    """The paper's formula with some alpha below 0 is this module with those gamma turned."""
    module = moved(GatedChannelTransformation(6)).double()
    x = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    sign = torch.tensor([1, -1, 1, -1, -1, 1], dtype=torch.float64)
    embedding = column(module.alpha * sign) * (x.square().sum((2, 3), keepdim=True) + 1e-5).sqrt()
    normalized = math.sqrt(6) * embedding / embedding.square().sum(1, keepdim=True).sqrt()
    expected = x * (1 + torch.tanh(column(module.gamma) * normalized + column(module.gate.bias)))
    module.gate.weight.data *= sign.reshape(-1, 1, 1, 1)
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)


def test_gct_starts_as_the_identity_and_ends_where_channels_compete() -> None:
    module = GatedChannelTransformation(4)
    x = torch.randn(2, 4, 6, 6) * column(torch.tensor([1.0, 2.0, 3.0, 8.0]))
    assert torch.equal(module(x), x)
    module.gate.weight.data.fill_(1.0)
    gain = module(x)[0].abs().sum((1, 2)) / x[0].abs().sum((1, 2))
    assert (gain.diff() > 0).all()  # gamma above 0: the strong grow more


def test_a_map_of_zeros_and_an_alpha_of_zero_have_finite_gradients() -> None:
    module = GatedChannelTransformation(4)
    module.embedding.weight.data[1] = 0.0
    module.gate.weight.data.fill_(0.5)
    for x in (torch.zeros(2, 4, 3, 3), torch.randn(2, 4, 3, 3)):
        x.requires_grad_(True)
        module(x).square().sum().backward()
        assert x.grad is not None and torch.isfinite(x.grad).all()
        assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


def test_computed_parameters_are_set_by_what_they_give() -> None:
    module = moved(GatedChannelTransformation(5))
    for layer in (module.embedding, module.gate):
        weight, bias = (value.detach().clone() * 0.5 for value in layer.computed())
        layer.set_computed(weight, bias)
        torch.testing.assert_close(layer.computed(), (weight, bias))


def test_cbam_is_equations_2_and_3() -> None:
    module = moved(ConvolutionalBlockAttention(32)).double()
    x = torch.randn(2, 32, 9, 6, dtype=torch.float64)

    def hidden(vector: Tensor) -> Tensor:
        first = module.reduce
        return torch.relu(vector @ first.weight.flatten(1).T + first.bias)

    last = module.expand
    vectors = hidden(x.mean((2, 3))) + hidden(x.amax((2, 3)))
    once = x * torch.sigmoid(vectors @ last.weight.flatten(1).T + last.bias)[:, :, None, None]
    maps = torch.stack((once.amax(1), once.mean(1)), dim=1)
    expected = once * torch.sigmoid(module.norm(nn.functional.conv2d(maps, module.spatial.weight, padding=3)))
    torch.testing.assert_close(module(x), expected)
    assert module.reduce.out_channels == 2 and module.norm.momentum == 0.01


# network, arguments, attention -> parameters, multiply-adds of it all, and how many modules
COUNTS = [
    ("mobilenet_v1", "cbam", 5_074_714, 574_228_136, 26),  # the paper: 5.07 M
    ("mobilenet_v1", "gct", 4_231_976 + 3 * 4_960, 568_740_352 + 2 * 4_960, 13),
    ("mobilenet_v2", "cbam", 3_504_872 + 31_713, 303_045_024, 17),
    ("mobilenet_v2", "gct", 3_504_872 + 3 * 7_136, 300_774_272 + 2 * 7_136, 17),
    ("fast_scnn", "cbam", 1_150_749, 6_713_278_784, 9),
    ("fast_scnn", "gct", 1_137_795 + 3 * 4_800, 6_709_649_408 + 2 * 4_800, 9),
]


@pytest.mark.parametrize(("name", "attention", "parameters", "multiply_adds", "modules"), COUNTS)
def test_counts(name: str, attention: str, parameters: int, multiply_adds: int, modules: int) -> None:
    with torch.device("meta"):
        model = build(name, classes=19 if name == "fast_scnn" else 1000, attention=attention)
    cost = count_module(model)
    assert (cost.parameters, cost.multiply_adds, cost.unruled) == (parameters, multiply_adds, ())
    assert len(attention_paths(model)) == modules


# network, attention -> what it adds to the plain network of 513x513, and how many modules
DEEPLAB = [
    ("deeplab_mobilenet_v1", "gct", 3 * 4_960, 2 * 4_960, 13),
    ("deeplab_mobilenet_v1", "cbam", 842_738, 24_075_444, 26),
    ("deeplab_mobilenet_v2", "gct", 3 * 7_136, 2 * 7_136, 17),
    ("deeplab_mobilenet_v2", "cbam", 31_713, 12_193_154, 17),
]


@pytest.mark.parametrize(("name", "attention", "parameters", "multiply_adds", "modules"), DEEPLAB)
def test_counts_of_deeplab(name: str, attention: str, parameters: int, multiply_adds: int, modules: int) -> None:
    with torch.device("meta"):
        plain, gated = build(name, classes=21), build(name, classes=21, attention=attention)
    before, after = count_module(plain), count_module(gated)
    assert after.parameters - before.parameters == parameters
    assert after.multiply_adds - before.multiply_adds == multiply_adds
    assert after.unruled == () and len(attention_paths(gated)) == modules


@pytest.mark.parametrize("name", TAKES_ATTENTION)
def test_a_network_with_gct_starts_as_the_plain_one(name: str, tmp_path: Path) -> None:
    plain = moved(build(name, **SMALL[name]))
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    gated = build(name, **SMALL[name], attention="gct").eval()
    load_pretrained(gated, tmp_path / "plain.safetensors")
    x = torch.randn(2, *plain.input_shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(gated(x), plain(x), rtol=0, atol=0)


@pytest.mark.parametrize("attention", ["gct", "cbam", "involution"])
def test_weights_with_attention_load_whole(attention: str, tmp_path: Path) -> None:
    model = moved(build("mobilenet_v2", **SMALL["mobilenet_v2"], attention=attention))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other = build("mobilenet_v2", **SMALL["mobilenet_v2"], attention=attention).eval()
    load_pretrained(other, tmp_path / "model.safetensors")
    x = torch.randn(1, *model.input_shape[1:])
    with torch.no_grad():
        assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("name", TAKES_ATTENTION)
@pytest.mark.parametrize("attention", ["gct", "cbam", "involution"])
def test_gradients_reach_every_parameter(name: str, attention: str) -> None:
    torch.manual_seed(0)
    model = build(name, **{**SMALL[name], **({} if name == "fast_scnn" else {"width": 1.0})}, attention=attention)
    for module in model.modules():
        if isinstance(module, GatedChannelTransformation):
            nn.init.normal_(module.gate.weight, std=0.3)  # at gamma 0 alpha has none
        if isinstance(module, ConvolutionalBlockAttention):
            nn.init.constant_(module.reduce.bias, 0.5)  # one or two hidden units may start dead
    model.train()
    outputs = outputs_of(model(torch.randn(4, *model.input_shape[1:])))
    sum((output * torch.randn(output.shape)).sum() for output in outputs).backward()
    assert not [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]


@pytest.mark.parametrize("name", TAKES_ATTENTION)
def test_an_unknown_attention_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UsageError, match="unknown attention 'gtc'; did you mean 'gct'"):
        build(name, **SMALL[name], attention="gtc")
    assert ATTENTION == ("none", "gct", "cbam", "involution")
