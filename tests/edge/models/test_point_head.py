"""PointRend's head: its layers, its start, its form on integers, and networks that are built with one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edge.errors import UsageError
from edge.models.fast_scnn import FastScnn
from edge.models.point_head import PointHead, on_codes, point_head_of
from edge.models.pretrained import load_pretrained
from edge.models.registry import build

SMALL = {"classes": 5, "resolution_hw": [64, 64]}
FINE = {"fast_scnn": 48, "deeplab_mobilenet_v1": 128, "deeplab_mobilenet_v2": 24}


def head() -> PointHead:
    torch.manual_seed(0)
    made = PointHead(features=4, classes=3, hidden=8, points=16, steps=2)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def test_it_has_three_layers_that_all_read_the_coarse_logits() -> None:
    made = PointHead(features=256, classes=19, hidden=256, points=2048, steps=2)
    joined = [256 + 19, 256 + 19, 256 + 19]  # what a layer reads: 256 channels and the coarse logits
    paper = sum(width * 256 + 256 for width in joined) + (256 + 19) * 19 + 19
    assert sum(parameter.numel() for parameter in made.parameters()) == paper
    x = torch.randn(1, 7, 16, 1, requires_grad=True)
    small = head()
    for layer in (*small.coarse, small.coarse_logits):
        torch.nn.init.zeros_(layer.weight)
    with torch.no_grad():
        small.first.weight[:, 4:] = 0
    small(x).sum().backward()
    assert x.grad is not None and x.grad[:, 4:].abs().max() == 0 and x.grad[:, :4].abs().max() > 0


def test_it_starts_at_the_coarse_logits() -> None:
    made = PointHead(features=4, classes=3, hidden=8, points=16, steps=2)
    x = torch.randn(1, 7, 16, 1)
    assert (made(x) - x[:, 4:]).abs().max() < 0.1


def test_on_integers_it_computes_the_same_with_their_scales_in_its_weights() -> None:
    made = head()
    generator = torch.Generator().manual_seed(1)
    fine = torch.randint(-128, 128, (1, 4, 16, 1), generator=generator).float()
    coarse = torch.randint(-128, 128, (1, 3, 16, 1), generator=generator).float()
    expected = made.at_points(0.03 * (fine + 128), 0.1 * (coarse - 4))
    found = on_codes(made, (0.03, -128), (0.1, 4))(torch.cat([fine, coarse], dim=1) / 128)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FINE)
def test_networks_give_fine_features_at_a_quarter_of_the_input_beside_the_same_logits(name: str) -> None:
    torch.manual_seed(0)
    with_head = build(name, **SMALL, point_head=8).eval()
    plain = build(name, **SMALL).eval()
    state = {key: value for key, value in with_head.state_dict().items() if not key.startswith("point_head.")}
    plain.load_state_dict(state)
    made = point_head_of(with_head)
    assert made is not None and made.features == FINE[name] and point_head_of(plain) is None
    image = torch.randn(1, 3, 64, 64)
    logits, fine = with_head(image)
    assert fine.shape == (1, FINE[name], 16, 16)
    torch.testing.assert_close(logits, plain(image))


def test_weights_of_a_plain_network_fit_one_with_a_head_which_then_starts_anew(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain, other = build("fast_scnn", **SMALL), build("fast_scnn", **SMALL, point_head=8)
    trained = build("fast_scnn", **SMALL, point_head=8)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    before = other.state_dict()["point_head.first.weight"].clone()
    load_pretrained(other, tmp_path / "plain.safetensors")
    state = other.state_dict()
    assert torch.equal(state["point_head.first.weight"], before)
    assert torch.equal(state["classifier.weight"], plain.state_dict()["classifier.weight"])
    save_file(trained.state_dict(), tmp_path / "trained.safetensors")
    load_pretrained(other, tmp_path / "trained.safetensors")
    assert torch.equal(other.state_dict()["point_head.first.weight"], trained.state_dict()["point_head.first.weight"])


def test_auxiliary_logits_stand_behind_the_fine_features() -> None:
    network = build("fast_scnn", **SMALL, auxiliary=True, point_head=8).eval()
    assert isinstance(network, FastScnn)
    image = torch.randn(1, 3, 64, 64)
    main, fine, shallow, deep = network.forward_with_auxiliary(image)
    for found, expected in zip((main, fine), network(image), strict=True):
        torch.testing.assert_close(found, expected)
    assert (shallow.shape[1], deep.shape[1]) == (5, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"point_head": 2000}, "point_head"),
        ({"point_head": 8, "points": 1}, "points"),
        ({"point_head": 8, "point_steps": 5}, "point_steps"),
        ({"point_head": 8, "classes": 1}, "two classes or more; classes is 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("fast_scnn", **{**SMALL, **arguments})
