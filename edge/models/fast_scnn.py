"""Fast-SCNN: real-time semantic segmentation in one network with two branches (Poudel et al., arXiv 1902.04502).

Parameters at 19 classes: 1,137,795. The paper's 1.11 M is this network's convolutions alone (1,114,115); the other
23,680 are the scales and shifts of batch norm.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import UsageError
from edge.models.attention import Attention, require_attention
from edge.models.blocks import (
    ConvNorm,
    DepthwiseSeparable,
    InvertedResidual,
    SamePadConv2d,
    depthwise,
    require_count,
    require_range,
    same_output_size,
)
from edge.models.initialization import initialize_he
from edge.models.point_head import PointHead, built_point_head

POOLING_BINS = (1, 2, 3, 6)
SMALLEST_SIDE = 64
FINE_CHANNELS = 48
"""Of the map at 1/4 of the input, where a point head reads."""
SizeHw = tuple[int, int]


class PyramidPooling(nn.Module):
    """Averages over 1, 2, 3 and 6 windows a side, each reduced to a quarter of the channels, beside the input itself.

    All windows of a bin are alike (stride = floor(size / bins), kernel = size - (bins - 1) * stride), so that each
    is one AVERAGE_POOL_2D on a device; where sizes divide, they are those of adaptive pooling. An axis shorter than
    the bins gets one window per position. (PSPNet, section 3.2, as Fast-SCNN's table 1 uses it.)
    """

    def __init__(self, channels: int, size_hw: SizeHw) -> None:
        super().__init__()
        self.size_hw = size_hw
        self.pools = nn.ModuleList(uniform_pool(size_hw, bins) for bins in POOLING_BINS)
        self.reduce = nn.ModuleList(ConvNorm(channels, channels // 4, activation="relu") for _ in POOLING_BINS)
        self.project = ConvNorm(2 * channels, channels, activation="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, channels, h, w) to the same shape."""
        parts = [x]
        for pool, reduce in zip(self.pools, self.reduce, strict=True):
            parts.append(_resize(reduce(pool(x)), self.size_hw))
        return self.project(torch.cat(parts, dim=1))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class FeatureFusion(nn.Module):
    """Enlarge the deep branch to the shallow one's size, filter it, and add both after a 1x1 convolution each.

    (Fast-SCNN, table 3; the depthwise convolution is not dilated, as in the public re-implementations.)
    """

    def __init__(self, high_channels: int, low_channels: int, out_channels: int, size_hw: SizeHw) -> None:
        super().__init__()
        self.size_hw = size_hw
        self.depthwise = depthwise(low_channels, activation="relu")
        self.low = ConvNorm(low_channels, out_channels, activation=None)
        self.high = ConvNorm(high_channels, out_channels, activation=None)
        self.activation = nn.ReLU()

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Fuse float (n, high, h, w) and (n, low, h', w') to (n, out, h, w)."""
        low = self.low(self.depthwise(_resize(low, self.size_hw)))
        return self.activation(self.high(high) + low)  # type: ignore[no-any-return]  # as above


class FastScnn(nn.Module):
    """Fast-SCNN for one fixed input size; its output is the logits at 1/8 of it.

    With a point head it gives beside them the map at 1/4 (48 channels) that the head's fine features come from.
    """

    task = "segment"
    output_stride = 8

    def __init__(
        self,
        *,
        classes: int,
        resolution_hw: SizeHw,
        auxiliary: bool,
        dropout: float,
        attention: Attention,
        point_head: PointHead | None,
    ) -> None:
        super().__init__()
        height, width = resolution_hw
        self.input_shape = (1, 3, height, width)
        self.classes = classes
        eighth = (same_output_size(height, 8), same_output_size(width, 8))
        deep = (same_output_size(height, 32), same_output_size(width, 32))
        self.downsample = nn.Sequential(
            ConvNorm(3, 32, 3, stride=2, activation="relu"),
            DepthwiseSeparable(32, 48, stride=2, activation="relu"),
            DepthwiseSeparable(48, 64, stride=2, activation="relu"),
        )
        self.features = nn.Sequential(
            *_bottlenecks(64, 64, stride=2, attention=attention),
            *_bottlenecks(64, 96, stride=2, attention=attention),
            *_bottlenecks(96, 128, stride=1, attention=attention),
        )
        self.pyramid = PyramidPooling(128, deep)
        self.fusion = FeatureFusion(64, 128, 128, eighth)
        self.head = nn.Sequential(
            DepthwiseSeparable(128, 128, activation="relu"), DepthwiseSeparable(128, 128, activation="relu")
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = SamePadConv2d(128, classes, 1)
        self.auxiliary_shallow = _auxiliary_head(64, classes, dropout) if auxiliary else None
        self.auxiliary_deep = _auxiliary_head(128, classes, dropout) if auxiliary else None
        initialize_he(self, "fan_in")  # the paper does not say; this suits ReLU
        self.point_head = point_head

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map float images (n, 3, h, w) to logits (n, classes, ceil(h / 8), ceil(w / 8)).

        With a point head also to its fine features (n, 48, ceil(h / 4), ceil(w / 4)).
        """
        if self.point_head is None:
            shallow = self.downsample(x)
            return self._classify(shallow, self.pyramid(self.features(shallow)))
        fine, shallow = self._fine_and_shallow(x)
        return self._classify(shallow, self.pyramid(self.features(shallow))), fine

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map float images (n, 3, h, w) to three logits: main and shallow at 1/8 size, deep at 1/32 size.

        For training; the paper weighs the two auxiliary losses 0.4 each. Needs `auxiliary=True`. With a point head its
        fine features stand behind the main logits.
        """
        if self.auxiliary_shallow is None or self.auxiliary_deep is None:
            raise UsageError("fast_scnn was built without auxiliary heads; build it with auxiliary = true")
        fine, shallow = self._fine_and_shallow(x)
        deep = self.pyramid(self.features(shallow))
        main = (self._classify(shallow, deep),) if self.point_head is None else (self._classify(shallow, deep), fine)
        return (*main, self.auxiliary_shallow(shallow), self.auxiliary_deep(deep))

    def _fine_and_shallow(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second, third = self.downsample
        fine = second(first(x))
        return fine, third(fine)

    def _classify(self, shallow: Tensor, deep: Tensor) -> Tensor:
        fused = self.head(self.fusion(shallow, deep))
        return self.classifier(self.dropout(fused))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def fast_scnn(
    *,
    classes: int,
    resolution_hw: SizeHw = (1024, 2048),
    auxiliary: bool = False,
    dropout: float = 0.1,
    attention: Attention = "none",
    point_head: int = 0,
    points: int = 2048,
    point_steps: int = 2,
) -> FastScnn:
    """Build Fast-SCNN for one input size.

    Args:
        classes: 1 to 10,000.
        resolution_hw: input height and width in pixels, each from 64 to 8192. Multiples of 32 shrink evenly; others
            work too (360x480: 45x60 at 1/8, 12x15 at 1/32 by SAME padding). The logits meet the image's pixels where a
            side is a multiple of 8; elsewhere they drift by less than one position.
        auxiliary: also build the two heads of `forward_with_auxiliary`.
        dropout: before the classifier, in [0, 0.95]; the paper gives no rate.
        attention: in each of the nine bottlenecks "gct" before its last convolution, "cbam" after it, "involution" in
            the place of the depthwise one, or "none".
        point_head: hidden channels of PointRend's head, 256 in its paper; 0: none.
        points: how many it is trained on per image and step, and predicts at once: 4 to 65,536.
        point_steps: how often a prediction enlarges its map and predicts points again, 0 to 4.
    """
    require_count("classes", classes, 1, 10_000)
    require_range("dropout", dropout, 0.0, 0.95)
    if not isinstance(resolution_hw, list | tuple) or len(resolution_hw) != 2:
        raise UsageError(f"resolution_hw is {resolution_hw!r}; it must be height and width")
    for name, side in zip(("height", "width"), resolution_hw, strict=True):
        require_count(f"resolution_hw: {name}", side, SMALLEST_SIDE, 8192)
    height, width = resolution_hw
    require_attention(attention)
    return FastScnn(
        classes=classes,
        resolution_hw=(height, width),
        auxiliary=auxiliary,
        dropout=dropout,
        attention=attention,
        point_head=built_point_head(point_head, points, point_steps, features=FINE_CHANNELS, classes=classes),
    )


def uniform_pool(size_hw: SizeHw, bins: int) -> nn.AvgPool2d:
    """Average pooling to `bins` equal windows along each axis, or to one per position on a shorter axis."""
    bins_hw = [min(bins, size) for size in size_hw]
    stride = [size // count for size, count in zip(size_hw, bins_hw, strict=True)]
    kernel = [size - (count - 1) * step for size, count, step in zip(size_hw, bins_hw, stride, strict=True)]
    return nn.AvgPool2d((kernel[0], kernel[1]), stride=(stride[0], stride[1]))


def _bottlenecks(in_channels: int, out_channels: int, *, stride: int, attention: Attention) -> list[InvertedResidual]:
    return [
        InvertedResidual(
            in_channels if index == 0 else out_channels,
            out_channels,
            stride=stride if index == 0 else 1,
            expansion=6,
            activation="relu",
            attention=attention,
        )
        for index in range(3)
    ]


def _auxiliary_head(in_channels: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(in_channels, 32, 3, activation="relu"), nn.Dropout(dropout), SamePadConv2d(32, classes, 1)
    )


def _resize(x: Tensor, size_hw: SizeHw) -> Tensor:
    return functional.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)
