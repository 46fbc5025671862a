"""Integrated Gradients: how much each value of an image adds to a score, against a baseline.

(Sundararajan, Taly and Yan, ICML 2017, arXiv 1703.01365, section 3, equation 1.) With the image x and the baseline b
the attribution of value i is (x_i - b_i) times the integral over a in [0, 1] of d score(b + a (x - b)) / d x_i. They
sum to score(x) - score(b) (completeness, proposition 1). The integral is the midpoint rule, which captum calls
riemann_middle; section 5 takes 20 to 300 steps, more where the sum is off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]
"""A batch of images (n, 3, h, w) to a score of each, (n,), each of its own image alone; differentiable."""

FIRST_STEPS = 20
MOST_STEPS = 540
TOLERANCE = 0.01
SMALLEST_CHANGE = 0.01
"""Of the score: a smaller one is not told from it, and the sum has to be as near as to this one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """Attributions of a score.

    Attributes:
        values: float64 (3, h, w), as the image that was given.
        score, baseline_score: of the image and of the baseline.
        steps: of the integral.
    """

    values: npt.NDArray[np.float64]
    score: float
    baseline_score: float
    steps: int

    @property
    def change(self) -> float:
        """What the attributions should sum to."""
        return self.score - self.baseline_score

    @property
    def error(self) -> float:
        """|sum - change| as a share of |change|, of SMALLEST_CHANGE where that is larger."""
        return abs(float(self.values.sum()) - self.change) / max(abs(self.change), SMALLEST_CHANGE)

    @property
    def complete(self) -> bool:
        """Whether completeness holds to TOLERANCE."""
        return self.error <= TOLERANCE


def integrated_gradients(
    score: Score,
    image: Tensor,
    baseline: Tensor,
    *,
    first_steps: int = FIRST_STEPS,
    most_steps: int = MOST_STEPS,
    batch_size: int = 1,
) -> Attribution:
    """Integrate with three times as many steps until the attributions are complete, or the next would be too many.

    The midpoints of n steps are among those of 3 n, so that nothing is computed twice.

    Args:
        image, baseline: float (3, h, w); gradients are taken in their precision and summed in float64.
        first_steps: to begin with. most_steps: never more than these.
        batch_size: points of the path that are held in memory at once.
    """
    steps = min(first_steps, most_steps)
    with torch.no_grad():
        ends = score(torch.stack([image, baseline])).double()
    total = _summed(score, image, baseline, midpoints(steps), batch_size)
    while True:
        values = (image - baseline).double() * total / steps
        found = Attribution(values=values.numpy(), score=float(ends[0]), baseline_score=float(ends[1]), steps=steps)
        if found.complete or 3 * steps > most_steps:
            return found
        steps *= 3
        new = [place for index, place in enumerate(midpoints(steps)) if index % 3 != 1]
        total += _summed(score, image, baseline, new, batch_size)


def midpoints(steps: int) -> list[float]:
    """The middles of equal parts of [0, 1]."""
    return [(index + 0.5) / steps for index in range(steps)]


def _summed(score: Score, image: Tensor, baseline: Tensor, places: Sequence[float], batch_size: int) -> Tensor:
    """The gradients of the score at places of the path, summed: float64 (3, h, w)."""
    total = torch.zeros_like(image, dtype=torch.float64)
    for first in range(0, len(places), batch_size):
        along = torch.tensor(places[first : first + batch_size], dtype=image.dtype).reshape(-1, 1, 1, 1)
        points = (baseline + along * (image - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(score(points).sum(), points)
        total += gradient.double().sum(dim=0)
    return total
