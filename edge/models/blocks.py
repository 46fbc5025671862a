"""The convolution that every model here is built from: TensorFlow SAME padding, batch norm, rectifier.

Published MobileNets pad the way TensorFlow's SAME does: the output has ceil(size / stride) positions and the padding
is split with the odd pixel at the bottom and right. A device runs exactly that inside its convolution; PyTorch's
symmetric padding would cost it one PAD operator for every stride-2 layer.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import UsageError
from edge.models.attention import Attention, after, before, instead

Activation = Literal["relu", "relu6"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6}

NORM_EPS = 1e-3
"""TF-slim's and Keras' epsilon for MobileNets; a channel that is almost dead keeps a bounded gain when folded."""
NORM_MOMENTUM = 0.1
"""PyTorch's: statistics settle in some 50 steps. TF-slim's 0.0003 needs over 10,000, more than our recipes train."""


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding (before, after) of one axis by TensorFlow's SAME rule, in pixels; the odd one goes after."""
    extent = (kernel - 1) * dilation + 1
    total = max((same_output_size(size, stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def same_output_size(size: int, stride: int) -> int:
    """Positions along one axis after a SAME convolution: ceil(size / stride)."""
    return -(-size // stride)


class SamePadConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, chosen from the input's size at every call.

    Attributes are those of `nn.Conv2d`; `padding` is (0, 0) and stands for none, whoever exports this layer takes
    the four pads from `same_padding`. Tracers treat it as a leaf.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )

    def pads(self, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
        """The padding (top, left, bottom, right) for an input of this size."""
        top, bottom = same_padding(size_hw[0], self.kernel_size[0], self.stride[0], self.dilation[0])
        left, right = same_padding(size_hw[1], self.kernel_size[1], self.stride[1], self.dilation[1])
        return top, left, bottom, right

    def forward(self, input: Tensor) -> Tensor:
        """Convolve float (n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        top, left, bottom, right = self.pads((input.shape[2], input.shape[3]))
        padding = (top, left)
        if (top, left) != (bottom, right):
            input = functional.pad(input, (left, right, top, bottom))
            padding = (0, 0)
        return functional.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvNorm(nn.Module):
    """A SAME convolution without bias, batch norm, and a rectifier unless `activation` is None."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: Activation | None = "relu6",
    ) -> None:
        super().__init__()
        self.conv = SamePadConv2d(
            in_channels, out_channels, kernel_size, stride=stride, dilation=dilation, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)
        self.activation = None if activation is None else ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        x = self.norm(self.conv(x))
        return x if self.activation is None else self.activation(x)


def depthwise(
    channels: int, *, stride: int = 1, dilation: int = 1, activation: Activation | None = "relu6"
) -> ConvNorm:
    """A 3x3 depthwise `ConvNorm`."""
    return ConvNorm(channels, channels, 3, stride=stride, dilation=dilation, groups=channels, activation=activation)


def spatial(
    attention: Attention, channels: int, stride: int, dilation: int, activation: Activation
) -> tuple[ConvNorm | None, nn.Module | None, nn.Module | None]:
    """What filters the positions of a block: a 3x3 depthwise `ConvNorm`, or attention in its place and a rectifier."""
    module = instead(attention, channels, 3, stride=stride, dilation=dilation)
    if module is None:
        return depthwise(channels, stride=stride, dilation=dilation, activation=activation), None, None
    return None, module, ACTIVATIONS[activation]()


class DepthwiseSeparable(nn.Module):
    """A 3x3 depthwise convolution, then a 1x1 one, both normalized and rectified (MobileNetV1, section 3.1).

    GCT stands before the 1x1 one, CBAM after each (CBAM's published count for MobileNetV1 needs both places),
    involution in the place of the depthwise one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        activation: Activation,
        attention: Attention = "none",
    ) -> None:
        super().__init__()
        self.depthwise, self.instead, self.activation = spatial(attention, in_channels, stride, dilation, activation)
        self.after_depthwise = after(attention, in_channels)
        self.before = before(attention, in_channels)
        self.pointwise = ConvNorm(in_channels, out_channels, activation=activation)
        self.after = after(attention, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        filters = (self.depthwise, self.instead, self.activation)
        for part in (*filters, self.after_depthwise, self.before, self.pointwise, self.after):
            x = x if part is None else part(x)
        return x


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter by 3x3 depthwise, project by a linear 1x1; add the input where shapes allow.

    (MobileNetV2, section 3.3 and table 1.) With expansion 1 there is no expanding convolution. GCT stands before the
    last convolution, CBAM behind it, before the addition (CBAM, figure 3), and involution in the place of the
    depthwise one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        dilation: int = 1,
        expansion: int,
        activation: Activation,
        attention: Attention = "none",
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = None if expansion == 1 else ConvNorm(in_channels, hidden, activation=activation)
        self.depthwise, self.instead, self.activation = spatial(attention, hidden, stride, dilation, activation)
        self.before = before(attention, hidden)
        self.project = ConvNorm(hidden, out_channels, activation=None)
        self.after = after(attention, out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        return self.from_expanded(self.expanded(x), x)

    def expanded(self, x: Tensor) -> Tensor:
        """The first half: float (n, in, h, w) to (n, hidden, h, w)."""
        return x if self.expand is None else self.expand(x)

    def from_expanded(self, expanded: Tensor, x: Tensor) -> Tensor:
        """The second half, from the first's result and the block's input."""
        made = expanded
        for part in (self.depthwise, self.instead, self.activation, self.before, self.project, self.after):
            made = made if part is None else part(made)
        return x + made if self.residual else made


class PooledClassifier(nn.Module):
    """Global average pool, dropout, and a linear layer."""

    def __init__(self, channels: int, classes: int, *, dropout: float) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, channels, h, w) to logits (n, classes)."""
        return self.linear(self.dropout(torch.flatten(self.pool(x), 1)))  # type: ignore[no-any-return]  # as above


def atrous(strides: Iterable[int], output_stride: int) -> Iterator[tuple[int, int]]:
    """Stride and dilation of each layer of a chain whose output is no smaller than 1 / `output_stride` of its input.

    Once that is reached strides become 1, and the layers *after* each such layer are dilated by what it gave up, so
    that every filter sees what it saw before. (Chen et al., arXiv 1706.05587, section 3.1, as TF-slim reads it: the
    layer that gives up its stride is not dilated by it itself.)
    """
    reached = dilation = 1
    for stride in strides:
        if reached < output_stride:
            yield stride, 1
            reached *= stride
        else:
            yield 1, dilation
            dilation *= stride


def round_channels(channels: float) -> int:
    """The nearest multiple of 8 (at least 8), one more where rounding down would lose over 10 %.

    (TF-slim's `make_divisible`; MobileNetV2's published counts need it.)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def require_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a model argument that is no number in [low, high], with its value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(f"{name} is {value!r}; it must be a number from {low:,} to {high:,}")


def require_count(name: str, value: int, low: int, high: int) -> None:
    """Refuse a model argument that is no integer in [low, high], with its value."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name} is {value!r}; it must be an integer from {low:,} to {high:,}")
