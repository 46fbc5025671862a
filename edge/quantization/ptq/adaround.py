"""Round every weight up or down by gradients (AdaRound, Nagel et al., arXiv 2004.10568, section 3.2).

A weight is its floor plus h(v), h the stretched sigmoid of eq. 23; v falls with the squared error of the layer's output
on its rounded inputs, eq. 25, while a regularizer drives h to 0 or 1, eq. 24. The error is quadratic in the weights, so
the covariance of the inputs stands for the images and every iteration sees all of them. Where `least_squares` moves a
weight by as many integers as pay, this one stays with the two nearest.
"""

import math

import torch
from torch import Tensor

from edge.artifact.scheme import WEIGHT_MAX, Granularity

ITERATIONS = 400
STEP = 0.05
STRETCH = (-0.1, 1.1)
WITHOUT_REGULARIZER = 0.2
"""Share of the iterations before it sets in."""
REGULARIZER = 0.02
"""Its weight, against squared quanta."""
EXPONENTS = (20.0, 2.0)
"""Of the regularizer, from where it sets in to the end, by a cosine."""


def up_or_down(weight: Tensor, covariance: Tensor, granularity: Granularity = "per_channel") -> Tensor:
    """Weights on the grids that their largest give, each one of its two neighbours there, as `choose_weights` takes it.

    An output that comes no nearer than with the nearest integers gets those: none is worse.

    Args:
        weight: float64 (groups, outputs, kernel). covariance: float64 (groups, kernel, kernel).
    """
    largest = weight.abs().amax(dim=2, keepdim=True).clamp(min=1e-30)
    scale = (largest if granularity == "per_channel" else largest.amax().expand_as(largest)) / WEIGHT_MAX
    wanted = (weight / scale).clamp(-WEIGHT_MAX, WEIGHT_MAX)
    nearest = torch.round(wanted)
    free = nearest.abs() != WEIGHT_MAX  # the grid follows from the others
    lower = torch.where(free, torch.floor(wanted), nearest)
    size = torch.diagonal(covariance, dim1=1, dim2=2).mean(dim=1).clamp(min=1e-30).reshape(-1, 1, 1)
    pull = (covariance / size).float()
    rest, base = (wanted - lower).float(), free.float()
    value = _inverse(rest).requires_grad_()
    optimizer = torch.optim.Adam([value], lr=STEP)
    for iteration in range(ITERATIONS):
        with torch.enable_grad():
            above = _stretched(value)
            error = (above - rest) * base
            cost = (torch.bmm(error, pull) * error).sum()
            past = (iteration / ITERATIONS - WITHOUT_REGULARIZER) / (1 - WITHOUT_REGULARIZER)
            if past >= 0:
                first, last = EXPONENTS
                exponent = last + (first - last) * (1 + math.cos(math.pi * past)) / 2
                cost = cost + REGULARIZER * (1 - (2 * above - 1).abs() ** exponent).sum()
        optimizer.zero_grad(set_to_none=True)
        cost.backward()  # type: ignore[no-untyped-call]  # torch's stub
        optimizer.step()
    chosen = torch.where(free, lower + (_stretched(value.detach()) >= 0.5), lower)
    better = _cost(chosen - wanted, covariance) < _cost(nearest - wanted, covariance)
    return torch.where(better.unsqueeze(2), chosen, nearest) * scale


def _cost(error: Tensor, covariance: Tensor) -> Tensor:
    return (torch.bmm(error, covariance) * error).sum(dim=2)


def _stretched(value: Tensor) -> Tensor:
    low, high = STRETCH
    return (torch.sigmoid(value) * (high - low) + low).clamp(0.0, 1.0)


def _inverse(above: Tensor) -> Tensor:
    """The value whose stretched sigmoid is `above`, in [0, 1]."""
    low, high = STRETCH
    return torch.logit((above - low) / (high - low))
