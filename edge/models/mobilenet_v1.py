"""MobileNetV1: thirteen depthwise-separable blocks (Howard et al., arXiv 1704.04861, table 1)."""

from torch import Tensor, nn

from edge.errors import UsageError, unknown_name
from edge.models.attention import Attention, require_attention
from edge.models.blocks import (
    ACTIVATIONS,
    Activation,
    ConvNorm,
    DepthwiseSeparable,
    PooledClassifier,
    atrous,
    require_count,
    require_range,
    round_channels,
)
from edge.models.initialization import initialize_slim

BLOCKS: tuple[tuple[int, int], ...] = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""Output channels at width 1.0, and the stride."""
LARGEST_STRIDE = 32


def separable_blocks(
    width: float, activation: Activation, output_stride: int = LARGEST_STRIDE, *, attention: Attention = "none"
) -> tuple[nn.Sequential, int]:
    """The thirteen blocks after the stem, and the channels of their output.

    Args:
        output_stride: how many times smaller than the image their output is; below 32 later blocks are dilated.
    """
    channels = round_channels(32 * width)
    _, *steps = atrous((2, *(stride for _, stride in BLOCKS)), output_stride)  # the stem's stride is the first
    blocks = []
    for (base, _), (stride, dilation) in zip(BLOCKS, steps, strict=True):
        following = round_channels(base * width)
        blocks.append(
            DepthwiseSeparable(
                channels,
                following,
                stride=stride,
                dilation=dilation,
                activation=activation,
                attention=attention,
            )
        )
        channels = following
    return nn.Sequential(*blocks), channels


class MobileNetV1(nn.Module):
    """MobileNetV1 for one fixed square input size."""

    task = "classify"

    def __init__(
        self,
        *,
        classes: int,
        width: float,
        resolution: int,
        activation: Activation,
        dropout: float,
        attention: Attention,
    ) -> None:
        super().__init__()
        self.input_shape = (1, 3, resolution, resolution)
        self.classes = classes
        self.stem = ConvNorm(3, round_channels(32 * width), 3, stride=2, activation=activation)
        self.blocks, channels = separable_blocks(width, activation, attention=attention)
        self.classifier = PooledClassifier(channels, classes, dropout=dropout)
        initialize_slim(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map float images (n, 3, h, w) to logits (n, classes)."""
        return self.classifier(self.blocks(self.stem(x)))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def mobilenet_v1(
    *,
    classes: int,
    width: float = 1.0,
    resolution: int = 224,
    activation: Activation = "relu6",
    dropout: float = 0.001,
    attention: Attention = "none",
) -> MobileNetV1:
    """Build MobileNetV1 for one input size.

    Args:
        classes: 1 to 100,000.
        width: multiplies every layer's channels, in [0.1, 4]; published: 0.25, 0.5, 0.75, 1.0. Channels are rounded
            to multiples of 8, which changes none of the published widths.
        resolution: input height and width in pixels, 32 to 2048; published: 128, 160, 192, 224.
        activation: "relu6" as TF-slim has it, or "relu" as MLPerf Tiny's has it.
        dropout: before the classifier, in [0, 0.95]; 0.001 is TF-slim's.
        attention: "gct" before the 1x1 convolution of each of the 13 blocks, "cbam" after both of each, "involution"
            in the place of the depthwise one, or "none".
    """
    require_count("classes", classes, 1, 100_000)
    require_range("width", width, 0.1, 4.0)
    require_count("resolution", resolution, 32, 2048)
    require_range("dropout", dropout, 0.0, 0.95)
    if activation not in ACTIVATIONS:
        raise UsageError(unknown_name("activation", str(activation), ACTIVATIONS))
    require_attention(attention)
    return MobileNetV1(
        classes=classes,
        width=width,
        resolution=resolution,
        activation=activation,
        dropout=dropout,
        attention=attention,
    )
