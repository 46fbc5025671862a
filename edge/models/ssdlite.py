"""SSDLite: boxes and classes on six maps of a MobileNet (Sandler et al., arXiv 1801.04381, section 6.2).

SSD (Liu et al., arXiv 1512.02325, section 2.1) predicts, at every place of every map, box codes and class scores for
a few anchors; SSDLite makes each predictor a depthwise 3x3 and a 1x1 convolution. The first map of V2 is the
expansion of the layer with output stride 16 (576 channels), the second its last layer (1280); of V1 they are the
blocks 11 and 13. Four more maps of half the size each follow. Layers and anchors per place are those of
`ssdlite_mobilenet_v2_coco.config` of tensorflow/models.

At 320x320 and 80 classes the paper's V2 has 4.3 M parameters and 0.8 B multiply-adds; this one 4,337,013 and 788.8 M,
V1 5,100,661 (5.1 M) and 1.309 B (1.3 B). Counted with COCO's 90 numbers instead they would be 4.5 M and 5.2 M.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from edge.errors import UsageError, unknown_name
from edge.models.attention import Attention, require_attention
from edge.models.blocks import (
    ConvNorm,
    DepthwiseSeparable,
    InvertedResidual,
    SamePadConv2d,
    depthwise,
    require_count,
    require_range,
    round_channels,
    same_output_size,
)
from edge.models.initialization import initialize_slim
from edge.models.mobilenet_v1 import separable_blocks
from edge.models.mobilenet_v2 import HEAD_CHANNELS, inverted_residuals
from edge.port import Scores
from edge.vision.anchors import AnchorGrid, ssd_grid

Backbone = Literal["mobilenet_v1", "mobilenet_v2"]

EXTRA_CHANNELS = (512, 256, 256, 128)
"""Of the maps behind the backbone, at width 1.0."""
LEAST_EXTRA_CHANNELS = 16
FIRST_TAP = {"mobilenet_v1": 10, "mobilenet_v2": 13}
"""Index of the block that the first map comes from: V1's eleventh output, the expansion within V2's fourteenth."""
STRIDES = (16, 32, 64, 128, 256, 512)
CODE_SIZE = 4


class ExtraMap(nn.Module):
    """A map of half the size: 1x1 to half the channels, depthwise 3x3 of stride 2, 1x1."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(in_channels, out_channels // 2)
        self.depthwise = depthwise(out_channels // 2, stride=2)
        self.expand = ConvNorm(out_channels // 2, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, in, h, w) to (n, out, ceil(h / 2), ceil(w / 2))."""
        return self.expand(self.depthwise(self.reduce(x)))  # type: ignore[no-any-return]  # __call__ is untyped


class MapPredictor(nn.Module):
    """Values of every anchor of one map: depthwise 3x3, then 1x1 with a bias and no rectifier."""

    def __init__(self, channels: int, anchors: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.depthwise = depthwise(channels)
        self.predict = SamePadConv2d(channels, anchors * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, channels, h, w) to (n, h * w * anchors, values): rows, columns, anchors of one place."""
        found = self.predict(self.depthwise(x))
        return found.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.values)  # type: ignore[no-any-return]  # as above


class SsdHead(nn.Module):
    """Everything behind the backbone: extra maps, and for each map its predictors of boxes and of scores."""

    def __init__(self, tapped: tuple[int, int], extras: tuple[int, ...], columns: int, anchors: AnchorGrid) -> None:
        super().__init__()
        channels = (*tapped, *extras)
        self.extras = nn.ModuleList(map(ExtraMap, channels[1:], extras))
        self.boxes = nn.ModuleList(map(MapPredictor, channels, anchors.per_place, [CODE_SIZE] * len(channels)))
        self.scores = nn.ModuleList(map(MapPredictor, channels, anchors.per_place, [columns] * len(channels)))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Map the backbone's two maps to box codes (n, anchors, 4) and logits (n, anchors, columns)."""
        maps = [first, second]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        codes = [predictor(x) for predictor, x in zip(self.boxes, maps, strict=True)]
        logits = [predictor(x) for predictor, x in zip(self.scores, maps, strict=True)]
        return torch.cat(codes, dim=1), torch.cat(logits, dim=1)


class SsdLite(nn.Module):
    """SSDLite for one fixed square input size.

    Attributes:
        backbone: the network whose layers `stem`, `blocks` and, of V2, `head` are, by the same names; `classifier` is
            all that stands on them.
        classes: without the background, which is column 0 of the logits.
        anchors: what the rows of both outputs belong to.
        scores: what it is trained for: `independent`, a sigmoid of every column, or `exclusive`, a softmax over all.
    """

    task = "detect"

    def __init__(
        self, *, backbone: Backbone, classes: int, width: float, resolution: int, attention: Attention, scores: Scores
    ) -> None:
        super().__init__()
        self.input_shape = (1, 3, resolution, resolution)
        self.classes = classes
        self.backbone = backbone
        self.scores = scores
        sizes = [same_output_size(resolution, stride) for stride in STRIDES]
        self.anchors = ssd_grid([(size, size) for size in sizes])
        self.stem = ConvNorm(3, round_channels(32 * width), 3, stride=2)
        self.head: ConvNorm | None = None
        if backbone == "mobilenet_v2":
            self.blocks, channels = inverted_residuals(width, attention=attention)
            last = max(HEAD_CHANNELS, round_channels(HEAD_CHANNELS * width))
            self.head = ConvNorm(channels, last)
        else:
            self.blocks, last = separable_blocks(width, "relu6", attention=attention)
        tapped = self.blocks[FIRST_TAP[backbone]]
        if isinstance(tapped, InvertedResidual):
            first = tapped.project.conv.in_channels
        else:
            assert isinstance(tapped, DepthwiseSeparable)
            first = tapped.pointwise.conv.out_channels
        extras = tuple(max(LEAST_EXTRA_CHANNELS, round_channels(base * width)) for base in EXTRA_CHANNELS)
        self.classifier = SsdHead((first, last), extras, classes + 1, self.anchors)
        initialize_slim(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map float images (n, 3, h, w) to box codes (n, anchors, 4) and logits (n, anchors, 1 + classes).

        A code is (ty, tx, th, tw), see `edge.vision.box_coder`. The logits are before the sigmoid or softmax.
        """
        x = first = self.stem(x)
        for index, block in enumerate(self.blocks):
            if index != FIRST_TAP[self.backbone]:
                x = block(x)
            elif isinstance(block, InvertedResidual):
                first = block.expanded(x)
                x = block.from_expanded(first, x)
            else:
                x = first = block(x)
        return self.classifier(first, x if self.head is None else self.head(x))  # type: ignore[no-any-return]  # as above


def mobilenet_v2_ssdlite(
    *,
    classes: int,
    width: float = 1.0,
    resolution: int = 320,
    attention: Attention = "none",
    scores: Scores = "independent",
) -> SsdLite:
    """Build SSDLite on MobileNetV2 for one input size.

    Args:
        classes: without the background, 1 to 1,000.
        width: multiplies every layer's channels, in [0.1, 4]; the backbone's last 1x1 convolution keeps at least 1280.
        resolution: input height and width in pixels, 64 to 1024; published: 320, and 300 of tensorflow/models.
        attention: "none", "gct", "cbam" or "involution" in every block of the backbone, where MobileNets have it.
        scores: "independent", a sigmoid of every column (tensorflow/models), or "exclusive", a softmax over all columns
            (SSD, equation 3).
    """
    return _ssdlite("mobilenet_v2", classes, width, resolution, attention, scores)


def mobilenet_v1_ssdlite(
    *,
    classes: int,
    width: float = 1.0,
    resolution: int = 320,
    attention: Attention = "none",
    scores: Scores = "independent",
) -> SsdLite:
    """Build SSDLite on MobileNetV1 for one input size; the arguments are those of `mobilenet_v2_ssdlite`."""
    return _ssdlite("mobilenet_v1", classes, width, resolution, attention, scores)


def _ssdlite(
    backbone: Backbone, classes: int, width: float, resolution: int, attention: Attention, scores: Scores
) -> SsdLite:
    require_count("classes", classes, 1, 1000)
    require_range("width", width, 0.1, 4.0)
    require_count("resolution", resolution, 64, 1024)
    require_attention(attention)
    if scores not in get_args(Scores):
        raise UsageError(unknown_name("kind of scores", str(scores), get_args(Scores)))
    return SsdLite(
        backbone=backbone, classes=classes, width=width, resolution=resolution, attention=attention, scores=scores
    )
