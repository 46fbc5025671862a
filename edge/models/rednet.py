"""RedNet: residual networks with involutions in the place of 3x3 convolutions (Li et al., arXiv 2103.06255, section 4).

Published at CVPR 2021; layers are those of the authors' code (d-li14/involution, `rednet.py`): a stem of a 3x3
convolution of stride 2, a 3x3 involution and a 3x3 convolution, a maximum over 3x3 of stride 2, then four stages of
bottlenecks (He et al., arXiv 1512.03385, figure 5) whose middle layer is a 7x7 involution. The first convolution pads
as TensorFlow does.

At 224x224 and 1000 classes RedNet-26 has 9,233,166 parameters (published 9.23 M), RedNet-38 12,386,986 (12.4 M) and
RedNet-50 15,540,806 (15.54 M), and with the sums of the involutions 1.685, 2.167 and 2.649 G multiply-adds; 1.73 and
2.71 G are published of the first and the last, where normalization, pools and biases explain half of the difference.
"""

from typing import Literal

from torch import Tensor, nn

from edge.errors import UsageError, unknown_name
from edge.models.blocks import (
    ACTIVATIONS,
    Activation,
    ConvNorm,
    PooledClassifier,
    require_count,
    require_range,
    round_channels,
)
from edge.models.initialization import initialize_he
from edge.models.involution import NormalizedInvolution

Depth = Literal[26, 38, 50]
REPEATS: dict[int, tuple[int, int, int, int]] = {26: (1, 2, 4, 1), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}
"""Bottlenecks per stage, by the number of layers in all."""
STAGES: tuple[tuple[int, int], ...] = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Middle channels at width 1.0 and the stride of a stage's first bottleneck."""
EXPANSION = 4
STEM_CHANNELS = (32, 64)
STEM_KERNEL = 3
KERNEL = 7


class Bottleneck(nn.Module):
    """Reduce by 1x1, involve by 7x7, expand by 1x1; add the input, by a 1x1 convolution where shapes differ."""

    def __init__(self, in_channels: int, middle: int, *, stride: int, activation: Activation) -> None:
        super().__init__()
        out_channels = EXPANSION * middle
        self.reduce = ConvNorm(in_channels, middle, activation=activation)
        self.spatial = NormalizedInvolution(middle, KERNEL, stride=stride, activation=ACTIVATIONS[activation])
        self.activation = ACTIVATIONS[activation]()
        self.expand = ConvNorm(middle, out_channels, activation=None)
        alike = stride == 1 and in_channels == out_channels
        self.shortcut = None if alike else ConvNorm(in_channels, out_channels, stride=stride, activation=None)
        self.sum_activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, in, h, w) to (n, 4 middle, ceil(h / stride), ceil(w / stride))."""
        made = self.expand(self.activation(self.spatial(self.reduce(x))))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.sum_activation(made + shortcut)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class RedNet(nn.Module):
    """RedNet for one fixed square input size."""

    task = "classify"

    def __init__(
        self, *, classes: int, depth: int, width: float, resolution: int, activation: Activation, dropout: float
    ) -> None:
        super().__init__()
        self.input_shape = (1, 3, resolution, resolution)
        self.classes = classes
        first, channels = (round_channels(base * width) for base in STEM_CHANNELS)
        self.stem = nn.Sequential(
            ConvNorm(3, first, 3, stride=2, activation=activation),
            NormalizedInvolution(first, STEM_KERNEL, activation=ACTIVATIONS[activation]),
            ACTIVATIONS[activation](),
            ConvNorm(first, channels, 3, activation=activation),
            nn.MaxPool2d(3, 2, padding=1),
        )
        blocks = []
        for (base, first_stride), repeats in zip(STAGES, REPEATS[depth], strict=True):
            middle = round_channels(base * width)
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                blocks.append(Bottleneck(channels, middle, stride=stride, activation=activation))
                channels = EXPANSION * middle
        self.blocks = nn.Sequential(*blocks)
        self.classifier = PooledClassifier(channels, classes, dropout=dropout)
        initialize_he(self, "fan_out")  # the authors' code leaves this to mmcv

    def forward(self, x: Tensor) -> Tensor:
        """Map float images (n, 3, h, w) to logits (n, classes)."""
        return self.classifier(self.blocks(self.stem(x)))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def rednet(
    *,
    classes: int,
    depth: Depth = 26,
    width: float = 1.0,
    resolution: int = 224,
    activation: Activation = "relu",
    dropout: float = 0.0,
) -> RedNet:
    """Build RedNet for one input size.

    Args:
        classes: 1 to 100,000.
        depth: 26, 38 or 50 layers.
        width: multiplies every layer's channels, in [0.1, 4]; published: 1.0.
        resolution: input height and width in pixels, 32 to 2048; published: 224.
        activation: of every layer and of the hidden units that kernels are made of: "relu" as published, or "relu6",
            with which training is stable on small sets: kernels are bounded (`edge.models.involution`).
        dropout: before the classifier, in [0, 0.95]; published: none.
    """
    require_count("classes", classes, 1, 100_000)
    if isinstance(depth, bool) or depth not in REPEATS:
        raise UsageError(f"depth is {depth!r}; it must be {', '.join(map(str, REPEATS))}")
    require_range("width", width, 0.1, 4.0)
    require_count("resolution", resolution, 32, 2048)
    require_range("dropout", dropout, 0.0, 0.95)
    if activation not in ACTIVATIONS:
        raise UsageError(unknown_name("activation", str(activation), ACTIVATIONS))
    return RedNet(
        classes=classes, depth=depth, width=width, resolution=resolution, activation=activation, dropout=dropout
    )
