"""MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al., arXiv 1801.04381, table 2)."""

from torch import Tensor, nn

from edge.models.attention import Attention, require_attention
from edge.models.blocks import (
    ConvNorm,
    InvertedResidual,
    PooledClassifier,
    atrous,
    require_count,
    require_range,
    round_channels,
)
from edge.models.initialization import initialize_slim

STAGES: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, output channels at width 1.0, repeats, and the first repeat's stride."""
HEAD_CHANNELS = 1280
LARGEST_STRIDE = 32


def inverted_residuals(
    width: float, output_stride: int = LARGEST_STRIDE, *, attention: Attention = "none"
) -> tuple[nn.Sequential, int]:
    """The seventeen blocks between the stem and the last 1x1 convolution, and the channels of their output.

    Args:
        output_stride: how many times smaller than the image their output is; below 32 later blocks are dilated.
    """
    rows = [
        (expansion, round_channels(base * width), first_stride if repeat == 0 else 1)
        for expansion, base, repeats, first_stride in STAGES
        for repeat in range(repeats)
    ]
    channels = round_channels(32 * width)
    _, *steps = atrous((2, *(stride for _, _, stride in rows)), output_stride)  # the stem's stride is the first
    blocks = []
    for (expansion, following, _), (stride, dilation) in zip(rows, steps, strict=True):
        blocks.append(
            InvertedResidual(
                channels,
                following,
                stride=stride,
                dilation=dilation,
                expansion=expansion,
                activation="relu6",
                attention=attention,
            )
        )
        channels = following
    return nn.Sequential(*blocks), channels


class MobileNetV2(nn.Module):
    """MobileNetV2 for one fixed square input size."""

    task = "classify"

    def __init__(self, *, classes: int, width: float, resolution: int, dropout: float, attention: Attention) -> None:
        super().__init__()
        self.input_shape = (1, 3, resolution, resolution)
        self.classes = classes
        self.stem = ConvNorm(3, round_channels(32 * width), 3, stride=2)
        self.blocks, channels = inverted_residuals(width, attention=attention)
        head_channels = max(HEAD_CHANNELS, round_channels(HEAD_CHANNELS * width))
        self.head = ConvNorm(channels, head_channels)
        self.classifier = PooledClassifier(head_channels, classes, dropout=dropout)
        initialize_slim(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map float images (n, 3, h, w) to logits (n, classes)."""
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(features)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def mobilenet_v2(
    *,
    classes: int,
    width: float = 1.0,
    resolution: int = 224,
    dropout: float = 0.2,
    attention: Attention = "none",
) -> MobileNetV2:
    """Build MobileNetV2 for one input size.

    Args:
        classes: 1 to 100,000.
        width: multiplies every layer's channels, in [0.1, 4]; the last 1x1 convolution keeps at least 1280.
            Published: 0.25, 0.35, 0.5, 0.75, 1.0, 1.4.
        resolution: input height and width in pixels, 32 to 2048; published: 96, 128, 160, 192, 224.
        dropout: before the classifier, in [0, 0.95].
        attention: in each of the 17 blocks "gct" before its last convolution, "cbam" after it, "involution" in the
            place of the depthwise one, or "none".
    """
    require_count("classes", classes, 1, 100_000)
    require_range("width", width, 0.1, 4.0)
    require_count("resolution", resolution, 32, 2048)
    require_range("dropout", dropout, 0.0, 0.95)
    require_attention(attention)
    return MobileNetV2(classes=classes, width=width, resolution=resolution, dropout=dropout, attention=attention)
