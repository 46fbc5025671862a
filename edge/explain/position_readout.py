"""The readout of position: one 3x3 convolution without padding over five resized feature maps, fitted and judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from edge.explain.drift import rank_correlation
from edge.explain.position_targets import SIDE, Map

KERNEL = 3
STEPS = 10
RIDGE = 0.1
LEAST_DEVIATION = 1e-2
"""Of the mean one: a channel of integers that was the same on all images differs by a whole step on another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout:
    """A fitted convolution: `weight` (targets, channels + 1, 3, 3), of maps less `mean` over `deviation`."""

    mean: Tensor
    deviation: Tensor
    weight: Tensor

    def predict(self, features: Tensor) -> Tensor:
        """Predicted maps (n, targets, SIDE - 2, SIDE - 2) of features (n, channels, SIDE, SIDE)."""
        return functional.conv2d(self.normalized(features), self.weight)

    def normalized(self, features: Tensor) -> Tensor:
        """The features at mean 0 and deviation 1 by channel, and one that is 1: the bias."""
        shown = (features - self.mean) / self.deviation
        return torch.cat([shown, torch.ones_like(shown[:, :1])], dim=1)


def stacked(maps: Sequence[Tensor]) -> Tensor:
    """Maps (n, channels, h, w) resized to SIDE x SIDE by bilinear interpolation, one behind the other."""
    resized = [functional.interpolate(one, size=(SIDE, SIDE), mode="bilinear", align_corners=False) for one in maps]
    return torch.cat(resized, dim=1)


def fit(features: Tensor, targets: Sequence[Map], ridge: float = RIDGE, steps: int = STEPS) -> Readout:
    """The convolution that predicts the inner part of the targets with the least squares and small weights.

    Minimizes the mean square of the error plus `ridge` times the square of the weights, over features (n, channels,
    SIDE, SIDE), by `steps` steps of conjugate gradients from zero: what gradient descent with weight decay approaches
    (the paper: 15 epochs of SGD), without a learning rate or chance.
    """
    mean = features.mean(dim=(0, 2, 3), keepdim=True)
    deviation = features.std(dim=(0, 2, 3), keepdim=True)
    deviation = deviation.clamp_min(LEAST_DEVIATION * float(deviation.mean()) + 1e-12)
    readout = Readout(mean=mean, deviation=deviation, weight=torch.zeros(0))
    given = readout.normalized(features)
    border = KERNEL // 2
    wanted = torch.from_numpy(np.stack(targets).astype(np.float32))[None, :, border:-border, border:-border]
    wanted = wanted.expand(len(features), -1, -1, -1)
    count = wanted[:, 0].numel()
    shape = torch.Size((len(targets), given.shape[1], KERNEL, KERNEL))

    def transposed(error: Tensor) -> Tensor:
        slope: Tensor = conv2d_weight(given, shape, error)  # type: ignore[no-untyped-call]  # torch's own
        return slope / count

    def normal(weight: Tensor) -> Tensor:
        return transposed(functional.conv2d(given, weight)) + ridge * weight

    weight = conjugate_gradients(normal, transposed(wanted.contiguous()), steps)
    return Readout(mean=mean, deviation=deviation, weight=weight)


def conjugate_gradients(apply: Callable[[Tensor], Tensor], wanted: Tensor, steps: int) -> Tensor:
    """Solve apply(x) = wanted for each row of axis 0, apply linear, symmetric and positive, from zero."""
    found = torch.zeros_like(wanted)
    rest = wanted.clone()
    direction = rest.clone()
    before = _squares(rest)
    for _ in range(steps):
        if not bool((before > 0).any()):
            break
        applied = apply(direction)
        length = before / (direction * applied).flatten(1).sum(dim=1).reshape(before.shape).clamp_min(1e-30)
        found += length * direction
        rest -= length * applied
        after = _squares(rest)
        direction = rest + after / before.clamp_min(1e-30) * direction
        before = after
    return found


def _squares(values: Tensor) -> Tensor:
    return (values * values).flatten(1).sum(dim=1).reshape(-1, *([1] * (values.dim() - 1)))


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a map is predicted, the mean over images: Spearman's correlation, and the mean absolute error."""

    spearman: float
    mae: float


def score(predicted: Tensor, target: Map) -> Score:
    """Of predictions (n, SIDE - 2, SIDE - 2) of one target (SIDE, SIDE)."""
    border = KERNEL // 2
    wanted = target[border:-border, border:-border]
    maps = predicted.double().numpy()
    ranks = [rank_correlation(one, wanted) for one in maps]
    return Score(
        spearman=float(np.nan_to_num(ranks).mean()),  # a flat prediction has no order: 0
        mae=float(np.abs(maps - wanted).mean()),
    )
