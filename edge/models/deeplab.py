"""DeepLabv3 on MobileNets: one coarse map of classes from dilated features (Chen et al., arXiv 1706.05587).

The backbones keep 1/16 or 1/8 of the input's size by atrous convolutions (section 3.1). The head is that of section
3.3 as MobileNetV2's paper has it (Sandler et al., arXiv 1801.04381, section 6.3 and table 7): on the last map of the
blocks (V2: 320 channels, V1: 1024), image pooling and one 1x1 convolution; atrous spatial pyramid pooling adds three
dilated 3x3 ones. All have 256 channels, and rectifiers without a limit.

At 513x513 and 21 classes the paper's V2 has 2.11 M parameters and 2.75 B multiply-adds; this one 2,113,557 and
2.741 B. With the pyramid 4,523,541 (4.52 M) and 5.364 B: the paper's 5.8 B is not that of these layers.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import UsageError
from edge.models.attention import Attention, require_attention
from edge.models.blocks import (
    ConvNorm,
    SamePadConv2d,
    require_count,
    require_range,
    round_channels,
    same_output_size,
)
from edge.models.initialization import initialize_slim
from edge.models.mobilenet_v1 import separable_blocks
from edge.models.mobilenet_v2 import inverted_residuals
from edge.models.point_head import PointHead, built_point_head

Backbone = Literal["mobilenet_v1", "mobilenet_v2"]
PointHeadOf = Callable[[int], PointHead | None]
"""From the channels of the fine features to the head that reads them."""
SizeHw = tuple[int, int]

HEAD_CHANNELS = 256
PYRAMID_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the pyramid's 3x3 convolutions by output stride (section 3.3: doubled at 8)."""


FINE_BLOCK = 2
"""Index of the last block at 1/4 of the input, of both backbones (V2: 24 channels, V1: 128, at width 1)."""


class AtrousHead(nn.Module):
    """Image pooling beside convolutions of several dilations, joined, projected, and classified per position.

    (Section 3.3 and figure 5.) The pooled image is one position, spread over the whole map; every path has batch norm.
    """

    def __init__(self, channels: int, classes: int, size_hw: SizeHw, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.size_hw = size_hw
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.image_pooling = ConvNorm(channels, HEAD_CHANNELS, activation="relu")
        self.pointwise = ConvNorm(channels, HEAD_CHANNELS, activation="relu")
        self.pyramid = nn.ModuleList(
            ConvNorm(channels, HEAD_CHANNELS, 3, dilation=rate, activation="relu") for rate in rates
        )
        self.project = ConvNorm((2 + len(rates)) * HEAD_CHANNELS, HEAD_CHANNELS, activation="relu")
        self.dropout = nn.Dropout(dropout)
        self.logits = SamePadConv2d(HEAD_CHANNELS, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float features (n, channels, h, w) to logits (n, classes, h, w)."""
        pooled = self.image_pooling(self.pool(x))
        everywhere = functional.interpolate(pooled, size=self.size_hw, mode="bilinear", align_corners=False)
        paths = [convolution(x) for convolution in (self.pointwise, *self.pyramid)]
        joined = self.project(torch.cat([everywhere, *paths], dim=1))
        return self.logits(self.dropout(joined))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class DeepLab(nn.Module):
    """DeepLabv3 for one fixed input size; its output is the logits at 1 / `output_stride` of it.

    With a point head it gives beside them the backbone's last map at 1/4, where the head's fine features come from.

    Attributes:
        backbone: the network whose layers `stem` and `blocks` are, by the same names; `classifier` is the whole head.
        output_stride: how many times smaller than the image the logits are.
    """

    task = "segment"

    def __init__(
        self,
        *,
        backbone: Backbone,
        classes: int,
        width: float,
        resolution_hw: SizeHw,
        output_stride: int,
        pyramid: bool,
        dropout: float,
        attention: Attention,
        point_head: PointHeadOf,
    ) -> None:
        super().__init__()
        height, width_pixels = resolution_hw
        self.input_shape = (1, 3, height, width_pixels)
        self.classes = classes
        self.backbone = backbone
        self.output_stride = output_stride
        self.stem = ConvNorm(3, round_channels(32 * width), 3, stride=2)
        if backbone == "mobilenet_v2":
            self.blocks, channels = inverted_residuals(width, output_stride, attention=attention)
        else:
            self.blocks, channels = separable_blocks(width, "relu6", output_stride, attention=attention)
        size_hw = (same_output_size(height, output_stride), same_output_size(width_pixels, output_stride))
        rates = PYRAMID_RATES[output_stride] if pyramid else ()
        self.classifier = AtrousHead(channels, classes, size_hw, rates, dropout)
        initialize_slim(self)
        self.point_head = point_head(_out_channels(self.blocks[FINE_BLOCK]))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map float images (n, 3, h, w) to logits (n, classes, ceil(h / stride), ceil(w / stride)).

        With a point head also to its fine features (n, channels, ceil(h / 4), ceil(w / 4)).
        """
        x = self.stem(x)
        if self.point_head is None:
            return self.classifier(self.blocks(x))  # type: ignore[no-any-return]  # as above
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index == FINE_BLOCK:
                fine = x
        return self.classifier(x), fine


def deeplab_mobilenet_v2(
    *,
    classes: int,
    width: float = 1.0,
    resolution_hw: SizeHw = (513, 513),
    output_stride: int = 16,
    pyramid: bool = False,
    dropout: float = 0.1,
    attention: Attention = "none",
    point_head: int = 0,
    points: int = 2048,
    point_steps: int = 2,
) -> DeepLab:
    """Build DeepLabv3 on MobileNetV2's 320-channel map for one input size.

    Args:
        classes: 1 to 10,000.
        width: multiplies the backbone's channels, in [0.1, 4]; the head keeps 256.
        resolution_hw: input height and width in pixels, each from 64 to 4096. Logits are enlarged by half-pixel
            centres: of a multiple of the output stride equally far everywhere from where they were computed, which
            training learns; elsewhere (513, as published) they drift by up to half a position towards the border.
        output_stride: 16, or 8 for twice the resolution and three times the multiply-adds.
        pyramid: atrous spatial pyramid pooling; twice the parameters.
        dropout: before the logits, in [0, 0.95].
        attention: "none", "gct", "cbam" or "involution" in every block of the backbone, where MobileNets have it.
        point_head: hidden channels of PointRend's head, 256 in its paper; 0: none.
        points: how many it is trained on per image and step, and predicts at once: 4 to 65,536.
        point_steps: how often a prediction enlarges its map and predicts points again, 0 to 4.
    """
    head = partial(_point_head, point_head, points, point_steps, classes)
    return _deeplab("mobilenet_v2", classes, width, resolution_hw, output_stride, pyramid, dropout, attention, head)


def deeplab_mobilenet_v1(
    *,
    classes: int,
    width: float = 1.0,
    resolution_hw: SizeHw = (513, 513),
    output_stride: int = 16,
    pyramid: bool = False,
    dropout: float = 0.1,
    attention: Attention = "none",
    point_head: int = 0,
    points: int = 2048,
    point_steps: int = 2,
) -> DeepLab:
    """Build DeepLabv3 on MobileNetV1's 1024-channel map; the arguments are those of `deeplab_mobilenet_v2`."""
    head = partial(_point_head, point_head, points, point_steps, classes)
    return _deeplab("mobilenet_v1", classes, width, resolution_hw, output_stride, pyramid, dropout, attention, head)


def _deeplab(
    backbone: Backbone,
    classes: int,
    width: float,
    resolution_hw: SizeHw,
    output_stride: int,
    pyramid: bool,
    dropout: float,
    attention: Attention,
    point_head: PointHeadOf,
) -> DeepLab:
    require_attention(attention)
    require_count("classes", classes, 1, 10_000)
    require_range("width", width, 0.1, 4.0)
    require_range("dropout", dropout, 0.0, 0.95)
    if not isinstance(resolution_hw, list | tuple) or len(resolution_hw) != 2:
        raise UsageError(f"resolution_hw is {resolution_hw!r}; it must be height and width")
    for name, side in zip(("height", "width"), resolution_hw, strict=True):
        require_count(f"resolution_hw: {name}", side, 64, 4096)
    if isinstance(output_stride, bool) or output_stride not in PYRAMID_RATES:
        raise UsageError(f"output_stride is {output_stride!r}; it must be 16 or 8")
    if not isinstance(pyramid, bool):
        raise UsageError(f"pyramid is {pyramid!r}; it must be true or false")
    height, width_pixels = resolution_hw
    return DeepLab(
        backbone=backbone,
        classes=classes,
        width=width,
        resolution_hw=(height, width_pixels),
        output_stride=output_stride,
        pyramid=pyramid,
        dropout=dropout,
        attention=attention,
        point_head=point_head,
    )


def _point_head(hidden: int, points: int, steps: int, classes: int, features: int) -> PointHead | None:
    return built_point_head(hidden, points, steps, features=features, classes=classes)


def _out_channels(block: nn.Module) -> int:
    return [module for module in block.modules() if isinstance(module, nn.Conv2d)][-1].out_channels
