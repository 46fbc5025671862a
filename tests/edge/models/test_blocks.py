"""SAME padding is TensorFlow's, and the blocks keep the shapes they promise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from edge.errors import UsageError
from edge.models.blocks import (
    ConvNorm,
    InvertedResidual,
    SamePadConv2d,
    require_count,
    require_range,
    round_channels,
    same_output_size,
    same_padding,
)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "expected"),
    [
        (224, 3, 2, 1, (0, 1)),
        (45, 3, 2, 1, (1, 1)),
        (7, 3, 1, 1, (1, 1)),
        (7, 3, 1, 4, (4, 4)),
        (8, 1, 2, 1, (0, 0)),
        (8, 2, 1, 1, (0, 1)),
        (6, 5, 3, 1, (1, 1)),
        (1, 3, 2, 1, (1, 1)),
    ],
)
def test_same_padding_of_known_cases(size, kernel, stride, dilation, expected) -> None:
    assert same_padding(size, kernel, stride, dilation) == expected


@given(st.integers(1, 300), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3))
def test_padded_size_covers_ceil_of_size_over_stride(size, kernel, stride, dilation) -> None:
    before, after = same_padding(size, kernel, stride, dilation)
    extent = (kernel - 1) * dilation + 1
    assert 0 <= before <= after <= before + 1
    assert (size + before + after - extent) // stride + 1 == same_output_size(size, stride)


@pytest.mark.unhurried
@pytest.mark.parametrize("size_hw", [(8, 8), (7, 8), (8, 7), (9, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_convolution_equals_padding_then_convolving(size_hw, stride, groups) -> None:
    torch.manual_seed(0)
    layer = SamePadConv2d(4, 8, 3, stride=stride, groups=groups)
    x = torch.randn(2, 4, *size_hw)
    top, left, bottom, right = layer.pads(size_hw)
    padded = functional.pad(x, (left, right, top, bottom))
    expected = functional.conv2d(padded, layer.weight, layer.bias, stride, 0, 1, groups)
    assert layer(x).shape[2:] == (same_output_size(size_hw[0], stride), same_output_size(size_hw[1], stride))
    torch.testing.assert_close(layer(x), expected)


def test_channels_last_stays_channels_last_through_a_padded_convolution() -> None:
    x = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    layer = SamePadConv2d(4, 8, 3, stride=2).to(memory_format=torch.channels_last)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("channels", "rounded"), [(16 * 0.25, 8), (24 * 0.35, 8), (32 * 0.75, 24), (24 * 0.75, 24), (96 * 1.4, 136)]
)
def test_channels_round_to_multiples_of_eight_and_lose_at_most_a_tenth(channels, rounded) -> None:
    assert round_channels(channels) == rounded


@given(st.floats(1, 5000))
def test_rounded_channels_hold_their_rule(channels) -> None:
    rounded = round_channels(channels)
    assert rounded % 8 == 0 and rounded >= max(8, 0.9 * channels)


def test_residual_is_added_only_where_shapes_allow() -> None:
    common = {"expansion": 6, "activation": "relu6"}
    assert InvertedResidual(16, 16, stride=1, **common).residual
    assert not InvertedResidual(16, 16, stride=2, **common).residual
    assert not InvertedResidual(16, 24, stride=1, **common).residual
    assert InvertedResidual(16, 16, stride=1, expansion=1, activation="relu").expand is None


def test_a_linear_block_has_no_activation() -> None:
    assert ConvNorm(4, 4, activation=None).activation is None
    assert isinstance(ConvNorm(4, 4, activation="relu").activation, nn.ReLU)


@pytest.mark.parametrize("value", [0, 11, True, 2.5, "3", None])
def test_counts_out_of_range_or_of_another_type_are_refused_with_the_value(value) -> None:
    with pytest.raises(UsageError, match=f"classes is {value!r}; it must be an integer from 1 to 10"):
        require_count("classes", value, 1, 10)


@pytest.mark.parametrize("value", [0.05, float("nan"), float("inf"), True, "1"])
def test_numbers_out_of_range_are_refused_with_the_value(value) -> None:
    with pytest.raises(UsageError, match=f"width is {value!r}; it must be a number from 0.1 to 4"):
        require_range("width", value, 0.1, 4.0)
