"""Integers of a layer's weights chosen together, so that its output errs least on real inputs.

Rounding every weight to its nearest integer is the best choice for a single weight, not for their sum: a depthwise
kernel that takes differences of neighbours has large weights that cancel, and its rounding errors do not. Here the
integers of an output channel are chosen together, so that the error of the *output* is least on real activations
(the layer-wise objective of AdaRound, Nagel et al., arXiv 2004.10568, eq. 13, with the integers searched by coordinate
descent). The bias then takes up the mean error that is left (Nagel et al., arXiv 1906.04721, section 4.2).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edge.artifact.scheme import WEIGHT_MAX, Granularity
from edge.quantization.qat.fake_quant import fake_quantize_weight, weight_scales

SWEEPS = 20
BLOCK = 64
"""Places of a kernel between two updates of all slopes; the order of the descent does not depend on it."""
SMALL_KERNEL = 32
"""Kernels of up to this many weights also try the other scales of `SCALES`."""
SCALES = (1.0, 0.97, 0.94, 0.91, 0.88, 1.03, 1.06, 1.1)
IDLE_WEIGHT = 1e-3
"""Weight of a position where the rectifier hides the output, relative to one where it does not."""


ChooseWeights = Callable[[Tensor, Tensor, Granularity], Tensor]
"""From weights, float64 (groups, outputs, kernel), and covariance (groups, kernel, kernel): those weights on grids."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Sampled output positions of one layer: inputs (rows, groups, kernel), wanted outputs and weights (rows, O)."""

    inputs: Tensor
    outputs: Tensor
    weights: Tensor


def visibility(outputs: Tensor, activation: str) -> Tensor:
    """1 where the rectifier passes the output or nearly does, IDLE_WEIGHT where it hides it; float32, same shape."""
    if activation == "none":
        return torch.ones_like(outputs)
    visible = outputs > -1.0
    if activation == "relu6":
        visible &= outputs < 7.0
    return visible.float() + IDLE_WEIGHT


def round_layer(
    weight: Tensor,
    bias: Tensor,
    rows: Rows,
    input_scale: float,
    damping: float = 0.01,
    granularity: Granularity = "per_channel",
    choose: ChooseWeights | None = None,
) -> tuple[Tensor, Tensor]:
    """A layer's weight (O, ...) on the integers' grid, and the bias (O,) that goes with it, float32.

    Args:
        rows: of the layer's input as it will be, rounded, and of the output that is wanted, before the rectifier.
        damping: share of the mean input variance added to every input's: a weight that the images hardly use stays
            near its value.
        choose: weights on their grids; None: `choose_weights`.
    """
    groups = rows.inputs.shape[1]
    flat = weight.reshape(groups, -1, rows.inputs.shape[2])  # (groups, O / groups, kernel)
    covariance = _covariance(rows, groups, damping)
    rounded = (choose or choose_weights)(flat.double(), covariance, granularity).float().reshape(weight.shape)
    largest = weight.flatten(1).abs().amax(dim=1) / float(WEIGHT_MAX)
    largest = largest if granularity == "per_channel" else largest.amax().expand_as(largest)
    floored = weight_scales(weight, bias, input_scale, granularity) > largest  # no weight worth the name
    rounded = torch.where(floored.reshape(-1, *(1,) * (weight.dim() - 1)), weight, rounded)
    on_grid = fake_quantize_weight(rounded, weight_scales(rounded, bias, input_scale, granularity))
    return rounded, mean_error(on_grid, rows)


def mean_error(weight: Tensor, rows: Rows) -> Tensor:
    """The bias (O,) with which a layer of this weight (O, ...) has the wanted mean output."""
    share = rows.weights / rows.weights.sum(dim=0)  # (rows, O)
    return (share * (rows.outputs - products(weight, rows))).sum(dim=0)


def products(weight: Tensor, rows: Rows) -> Tensor:
    """The outputs (rows, O) of a layer of this weight (O, ...) without a bias."""
    groups = rows.inputs.shape[1]
    flat = weight.reshape(groups, -1, rows.inputs.shape[2])
    return torch.bmm(rows.inputs.transpose(0, 1), flat.transpose(1, 2)).transpose(0, 1).flatten(1)


def _covariance(rows: Rows, groups: int, damping: float) -> Tensor:
    """Weighted, damped covariance of each group's inputs: float64 (groups, kernel, kernel)."""
    share = rows.weights.reshape(len(rows.weights), groups, -1).mean(dim=2)
    share = (share / share.sum(dim=0)).T.unsqueeze(2)  # (groups, rows, 1)
    inputs = rows.inputs.permute(1, 0, 2)
    centred = inputs - (share * inputs).sum(dim=1, keepdim=True)
    covariance = torch.bmm((centred * share).transpose(1, 2), centred).double()
    diagonal = torch.diagonal(covariance, dim1=1, dim2=2)
    diagonal += damping * diagonal.mean(dim=1, keepdim=True) + 1e-12
    return covariance


def choose_weights(weight: Tensor, covariance: Tensor, granularity: Granularity = "per_channel") -> Tensor:
    """Weights on grids of their own with a small e C e^T, e = rounded - weight: float64 (groups, outputs, kernel)."""
    factors = SCALES if weight.shape[2] <= SMALL_KERNEL else SCALES[:1]
    largest = weight.abs().amax(dim=2, keepdim=True).clamp(min=1e-30)
    holds = torch.ones_like(largest, dtype=torch.bool)
    if granularity == "per_tensor":
        holds, largest = largest == largest.amax(), largest.amax().expand_as(largest)
    best, least = weight, torch.full(weight.shape[:2], torch.inf, dtype=weight.dtype, device=weight.device)
    for factor in factors:
        scale = largest * (factor / WEIGHT_MAX)
        candidate = descend(weight, covariance, scale, holds) * scale
        error = candidate - weight
        cost = (torch.bmm(error, covariance) * error).sum(dim=2)
        if granularity == "per_tensor":
            cost = cost.sum().expand_as(cost)
        best = torch.where((cost < least).unsqueeze(2), candidate, best)
        least = torch.minimum(cost, least)
    return best


def descend(weight: Tensor, covariance: Tensor, scale: Tensor, holds: Tensor | None = None) -> Tensor:
    """Integers in [-127, 127] of the weights' shape, from the nearest ones by coordinate descent.

    The largest weight of an output that holds its scale is set to 127 and stays: it is what the scale follows from.

    Args:
        weight: float64 (groups, outputs, kernel). covariance: (groups, kernel, kernel). scale: (groups, outputs, 1).
        holds: bool (groups, outputs, 1); None: every output has a scale of its own.
    """
    integers = torch.round(weight / scale).clamp_(-WEIGHT_MAX, WEIGHT_MAX)
    pinned = weight.abs().argmax(dim=2, keepdim=True)
    largest = WEIGHT_MAX * torch.sign(weight.gather(2, pinned))
    integers.scatter_(2, pinned, largest if holds is None else torch.where(holds, largest, integers.gather(2, pinned)))
    pinned = pinned if holds is None else torch.where(holds, pinned, -1)
    slope = torch.bmm(integers * scale - weight, covariance)
    scale, pinned = scale.squeeze(2), pinned.squeeze(2)
    for _ in range(SWEEPS):
        moved = False
        for start in range(0, weight.shape[2], BLOCK):
            block = slice(start, min(start + BLOCK, weight.shape[2]))
            steps = _descend_in_block(integers, slope[:, :, block], covariance, scale, pinned, block)
            if bool(steps.any()):
                moved = True
                integers[:, :, block] += steps
                slope += torch.bmm(steps * scale.unsqueeze(2), covariance[:, block])
        if not moved:
            break
    return integers


def _descend_in_block(
    integers: Tensor, slope: Tensor, covariance: Tensor, scale: Tensor, pinned: Tensor, block: slice
) -> Tensor:
    """What the integers of some places move by, one place after the other: (groups, outputs, places)."""
    inside = covariance[:, block, block]
    slope, steps = slope.clone(), torch.zeros_like(slope)
    for place in range(slope.shape[2]):
        before = integers[:, :, block.start + place]
        step = torch.round(-slope[:, :, place] / (inside[:, place, place].unsqueeze(1) * scale))
        step = (before + step).clamp_(-WEIGHT_MAX, WEIGHT_MAX) - before
        step = torch.where(pinned == block.start + place, 0.0, step)
        if bool(step.any()):
            steps[:, :, place] = step
            slope[:, :, place + 1 :] += (step * scale).unsqueeze(2) * inside[:, place, place + 1 :].unsqueeze(1)
    return steps
