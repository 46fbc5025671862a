"""Involution: the authors' code as the definition, the order of its kernels, sizes that do not divide, its counts."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import CheckpointError, UsageError
from edge.models.attention import attention_paths
from edge.models.count import count_module
from edge.models.involution import Involution
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from tests.edge.models.test_networks import SMALL


def moved(module: nn.Module) -> nn.Module:
    """The module with statistics and shifts that are not the initial ones."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(generator=generator)
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
    return module.eval()


def published(module: Involution, x: Tensor, kernel_size: int, stride: int, dilation: int, groups: int) -> Tensor:
    """The authors' forward: F.unfold, six axes, a product and a sum; its kernels are ordered by group first."""
    weight = module.kernels(x)
    n, _, height, width = weight.shape
    count = kernel_size**2
    order = torch.arange(count * groups).reshape(count, groups).T.reshape(-1)  # (K K, G) -> (G, K K)
    weight = weight[:, order].view(n, groups, count, height, width).unsqueeze(2)
    edge = dilation * (kernel_size - 1) // 2
    unfolded = functional.unfold(x, kernel_size, dilation, edge, stride)
    values = unfolded.view(n, groups, x.shape[1] // groups, count, height, width)
    return (weight * values).sum(dim=3).view(n, x.shape[1], height, width)


@pytest.mark.parametrize(
    ("channels", "kernel_size", "stride", "dilation", "size_hw", "groups"),
    [
        (32, 7, 1, 1, (9, 6), 2),
        (16, 7, 2, 1, (8, 12), 1),
        (48, 3, 1, 2, (7, 7), 3),
        (24, 3, 2, 1, (5, 9), 3),  # 8 channels a group, and sizes that 2 does not divide
        (6, 5, 1, 1, (2, 3), 3),  # a map smaller than the kernel
    ],
)
def test_involution_is_the_authors_code(
    channels: int, kernel_size: int, stride: int, dilation: int, size_hw: tuple[int, int], groups: int
) -> None:
    torch.manual_seed(0)
    module = moved(Involution(channels, kernel_size, stride=stride, dilation=dilation)).double()
    x = torch.randn(2, channels, *size_hw, dtype=torch.float64)
    expected = published(module, x, kernel_size, stride, dilation, groups)
    assert expected.shape == (2, channels, -(-size_hw[0] // stride), -(-size_hw[1] // stride))
    torch.testing.assert_close(module(x), expected)


def test_a_kernel_is_made_of_the_position_itself_and_with_a_stride_of_the_mean() -> None:
    torch.manual_seed(0)
    module = moved(Involution(8, 3, stride=2))
    x = torch.randn(1, 8, 5, 4)
    averaged = functional.avg_pool2d(x[:, :, :4], 2)
    torch.testing.assert_close(
        module.kernels(x)[:, :, :2], module.kernels(averaged.repeat_interleave(2, 2).repeat_interleave(2, 3))
    )
    last = x[:, :, 4:].reshape(1, 8, 1, 2, 2).mean(4)  # a row that is left over is averaged alone
    torch.testing.assert_close(
        module.kernels(x)[:, :, 2:], module.kernels(last.repeat_interleave(2, 2).repeat_interleave(2, 3))
    )


@pytest.mark.parametrize("name", SMALL)
def test_kernels_begin_nearly_the_same_at_all_positions(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, **SMALL[name], **({} if name == "rednet" else {"attention": "involution"}))
    involutions = [part for part in network.modules() if isinstance(part, Involution)]
    assert len(involutions) >= 9
    for layer in involutions:
        kernels = layer.train().kernels(torch.randn(4, layer.reduce.in_channels, 8, 8)).detach()
        shared = kernels.mean((0, 2, 3), keepdim=True)
        assert 0.25 < float(shared.std()) * layer.sum.kernel_size < 3.0  # of a convolution: He's sqrt(2)
        assert 0.04 < float((kernels - shared).std() / shared.std()) < 0.3


# network -> parameters and multiply-adds of it all, and how many involutions
COUNTS = [
    ("mobilenet_v1", 5_282_606, 754_391_552, 13),
    ("mobilenet_v2", 5_210_830, 529_467_072, 17),
    ("fast_scnn", 2_179_695, 9_983_172_608, 9),
    ("deeplab_mobilenet_v1", 4_919_899, 6_276_722_832, 13),
    ("deeplab_mobilenet_v2", 3_819_515, 4_983_841_256, 17),
]


@pytest.mark.parametrize(("name", "parameters", "multiply_adds", "modules"), COUNTS)
def test_counts(name: str, parameters: int, multiply_adds: int, modules: int) -> None:
    classes = {"fast_scnn": 19}.get(name, 21 if name.startswith("deeplab") else 1000)
    with torch.device("meta"):
        model = build(name, classes=classes, attention="involution")
    cost = count_module(model)
    assert (cost.parameters, cost.multiply_adds, cost.unruled) == (parameters, multiply_adds, ())
    assert len(attention_paths(model)) == modules


def test_a_layer_costs_what_the_paper_says() -> None:
    """Section 3.4: (C^2 + K^2 G C) / r parameters for the kernels, and K K C multiply-adds per position for the sum."""
    channels, kernel_size, groups, size = 64, 7, 4, 10
    module = Involution(channels, kernel_size)
    module.input_shape = (1, channels, size, size)
    cost = count_module(module)
    kernels = (channels**2 + kernel_size**2 * groups * channels) // 4
    assert cost.parameters == kernels + kernel_size**2 * groups + 2 * channels // 4  # the bias and the batch norm
    assert cost.multiply_adds == size**2 * (kernels + kernel_size**2 * channels)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "rednet"])
def test_plain_weights_load_but_for_the_convolutions_that_are_replaced(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = moved(build(name, **SMALL[name]))
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    model = build(name, **SMALL[name], attention="involution").eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    load_pretrained(model, tmp_path / "plain.safetensors")
    theirs, after = plain.state_dict(), model.state_dict()
    own = {key for key in after if ".instead." in key}
    assert all(torch.equal(after[key], before[key]) for key in own)
    assert after.keys() - own < theirs.keys()
    assert all(torch.equal(after[key], theirs[key]) for key in after.keys() - own if "num_batches" not in key)
    save_file(after, tmp_path / "own.safetensors")
    again = build(name, **SMALL[name], attention="involution").eval()
    load_pretrained(again, tmp_path / "own.safetensors")
    assert all(torch.equal(value, after[key]) for key, value in again.state_dict().items() if "num_batches" not in key)
    with pytest.raises(CheckpointError, match=r"missing|no place"):
        load_pretrained(plain, tmp_path / "own.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 27}, "depth is 27; it must be 26, 38, 50"),
        ({"depth": True}, "depth is True"),
        ({"width": 5}, "width is 5"),
        ({"resolution": 16}, "resolution is 16"),
        ({"attention": "gct"}, "unknown argument 'attention'"),
    ],
)
def test_what_is_no_rednet_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        build("rednet", classes=2, **arguments)
    assert message in str(refusal.value)
