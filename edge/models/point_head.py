"""PointRend's point head: it predicts the class of a point again (Kirillov et al., arXiv 1912.08193).

A point's features are those of a fine map beside the coarse logits there (section 3.2), which are appended to the input
of every layer (section 4.2). A point is one position, so layers are 1x1 convolutions over (n, channels, points, 1).
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from edge.errors import UsageError
from edge.models.blocks import require_count
from edge.models.initialization import initialize_he
from edge.vision.point_rend import CODES, MAX_POINTS, MAX_STEPS

LAYERS = 3
"""Hidden layers; the paper has 256 channels in each (section 4.2, semantic segmentation in 5.1)."""


class PointHead(nn.Module):
    """Three hidden layers and the logits, each reading the coarse logits besides what the layer before it made.

    A convolution over two joined inputs is the sum of one over each: written so, each keeps a range of its own in
    integers.

    Attributes:
        features, classes: channels of the fine features and of the coarse logits in the input, in this order.
        points: how many of each image it is trained on in a step (section 5.1: 2048), and takes at once on a device.
        steps: how often a map is refined at inference.
        input_shape: of one step.
    """

    def __init__(self, *, features: int, classes: int, hidden: int, points: int, steps: int) -> None:
        super().__init__()
        self.points = points
        self.steps = steps
        self.input_shape = (1, features + classes, points, 1)
        self.features = features
        self.classes = classes
        self.hidden = hidden
        self.first = nn.Conv2d(features + classes, hidden, 1)
        self.layers = nn.ModuleList(nn.Conv2d(hidden, hidden, 1) for _ in range(LAYERS - 1))
        self.coarse = nn.ModuleList(nn.Conv2d(classes, hidden, 1, bias=False) for _ in range(LAYERS - 1))
        self.logits = nn.Conv2d(hidden, classes, 1)
        self.coarse_logits = nn.Conv2d(classes, classes, 1, bias=False)
        self.activation = nn.ReLU()
        initialize_he(self, "fan_in")
        nn.init.normal_(self.logits.weight, std=0.001)  # training begins near the coarse logits themselves
        with torch.no_grad():
            self.coarse_logits.weight.copy_(torch.eye(classes)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, features + classes, points, 1) to logits (n, classes, points, 1)."""
        coarse = x[:, self.features :]
        hidden = self.activation(self.first(x))
        for layer, beside in zip(self.layers, self.coarse, strict=True):
            hidden = self.activation(layer(hidden) + beside(coarse))
        return self.logits(hidden) + self.coarse_logits(coarse)  # type: ignore[no-any-return]  # __call__ is untyped

    def at_points(self, features: Tensor, coarse: Tensor) -> Tensor:
        """Map fine features and coarse logits at points, (n, channels, points, 1) each, to logits there."""
        return self(torch.cat([features, coarse], dim=1))  # type: ignore[no-any-return]  # as above


@torch.no_grad()
def on_codes(head: PointHead, features: tuple[float, int], coarse: tuple[float, int]) -> PointHead:
    """The same head for integers q of its two inputs, each read as q / 128: their scales are in the weights.

    So both stand in one int8 tensor of scale 1/128, each with all its steps.

    Args:
        features, coarse: scale and zero point of each: its real values are scale * (q - zero point).
    """
    made = deepcopy(head)
    scales = torch.cat([torch.full((count,), scale) for count, (scale, _) in _parts(head, features, coarse)])
    zeros = torch.cat([torch.full((count,), float(zero)) for count, (_, zero) in _parts(head, features, coarse)])
    of_coarse = slice(head.features, None)
    targets = [*made.layers, made.logits]
    for reads, over, into in [
        (made.first, slice(None), made.first),
        *((beside, of_coarse, target) for beside, target in zip(made.coarse, targets, strict=False)),
        (made.coarse_logits, of_coarse, made.logits),
    ]:
        assert isinstance(reads, nn.Conv2d) and isinstance(into, nn.Conv2d) and into.bias is not None
        scaled = reads.weight * scales[over].reshape(1, -1, 1, 1)
        into.bias.sub_((scaled * zeros[over].reshape(1, -1, 1, 1)).sum((1, 2, 3)))
        reads.weight.copy_(scaled * CODES)
    return made


def _parts(head: PointHead, features: Any, coarse: Any) -> tuple[tuple[int, Any], ...]:
    return (head.features, features), (head.classes, coarse)


def point_head_of(model: nn.Module) -> PointHead | None:
    """The point head that a network was built with, if any."""
    head = getattr(model, "point_head", None)
    return head if isinstance(head, PointHead) else None


def point_head_paths(model: nn.Module) -> tuple[str, ...]:
    """Where it stands, as `edge.models.attention.attention_paths` says it of attention."""
    return ("point_head",) if point_head_of(model) is not None else ()


def built_point_head(hidden: int, points: int, steps: int, *, features: int, classes: int) -> PointHead | None:
    """The head that a builder's arguments `point_head`, `points` and `point_steps` ask for; None for 0 hidden channels.

    Raises:
        UsageError: a number out of range, or fewer than two classes, between which no point is uncertain.
    """
    require_count("point_head", hidden, 0, 1024)
    require_count("points", points, 4, MAX_POINTS)
    require_count("point_steps", steps, 0, MAX_STEPS)
    if hidden == 0:
        return None
    if classes < 2:
        raise UsageError("point_head: points are uncertain between two classes or more; classes is 1")
    return PointHead(features=features, classes=classes, hidden=hidden, points=points, steps=steps)
