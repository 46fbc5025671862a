"""Whether two models look at the same places: rank correlation of attributions on windows, and its noise floor.

Per pixel attributions of one network differ much between nearly equal images, so windows are compared. The floor is the
same number between the reference and itself, on the image with noise that no person sees: what differs less than that
says nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edge.explain.explain_image import Method, explain_input, model_input
from edge.explain.explained import Explained
from edge.explain.integrated_gradients import Attribution
from edge.explain.target import Box, Target, find_target
from edge.vision.pixels import Pixels

WINDOW = 16
NOISE = 1e-3
"""Standard deviation of the floor's noise, in units of the normalized input."""
MOST_DRIFT = 0.2
TIMES_FLOOR = 2.0
MOST_OFF = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class Drift:
    """One image by two models.

    Attributes:
        target: found by the reference. reference, other: attributions of its score by the two.
        correlation: Spearman's, of `windows` of the two; in [-1, 1], 1 the same order.
        floor: the same of the reference with itself on the noisy image.
        decides_alike: whether both give the same class: a classifier the most probable one, a segmenter the one that
            covers the most of the region.
    """

    target: Target
    reference: Attribution
    other: Attribution
    correlation: float
    floor: float
    decides_alike: bool

    @property
    def undecided(self) -> bool:
        """Whether a sum is off by more than MOST_OFF of the change of its score, so that nothing can be said."""
        return max(self.reference.error, self.other.error) > MOST_OFF

    @property
    def elsewhere(self) -> bool:
        """Whether the other model looks elsewhere: 1 - correlation is over MOST_DRIFT and TIMES_FLOOR the floor's.

        Never where one of the sums is off by more than MOST_OFF: those attributions explain something else.
        """
        return not self.undecided and 1 - self.correlation > max(MOST_DRIFT, TIMES_FLOOR * (1 - self.floor))


def drift(
    reference: Explained,
    other: Explained,
    frame: Pixels,
    method: Method,
    named: str | None = None,
    box: Box | None = None,
) -> Drift:
    """Explain one score of a photograph, RGB uint8 (h, w, 3), by two models of the same preprocessing and classes.

    Refuses (UsageError) what `find_target` refuses.
    """
    image = model_input(frame, reference.preprocess)
    target = find_target(reference, image, (frame.shape[0], frame.shape[1]), named, box)
    with torch.no_grad():
        mine, others = (one.probabilities(image[None])[0] for one in (reference, other))
    others_target = on_grid_of(target, others)
    noise = NOISE * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    first = explain_input(reference, image, frame, target, method)
    noisy = explain_input(
        reference, image + noise, frame, target, Method(baseline=method.baseline, most_steps=first.steps)
    )
    second = explain_input(other, image, frame, others_target, method)
    return Drift(
        target=target,
        reference=first,
        other=second,
        correlation=rank_correlation(windows(first), windows(second)),
        floor=rank_correlation(windows(first), windows(noisy)),
        decides_alike=_decision(mine, target) == _decision(others, others_target),
    )


def on_grid_of(target: Target, probabilities: Tensor) -> Target:
    """A target for a model whose output has cells of another size: probabilities (classes, rows, columns)."""
    if target.cells is None or target.cells.shape == probabilities.shape[1:]:
        return target
    shares = functional.interpolate(target.cells[None, None].float(), size=probabilities.shape[1:], mode="area")[0, 0]
    return Target(index=target.index, cells=shares >= min(0.5, float(shares.max())))


def _decision(probabilities: Tensor, target: Target) -> int:
    best = probabilities.argmax(dim=0)
    return int(best if target.cells is None else torch.bincount(best[target.cells]).argmax())


def windows(attribution: Attribution) -> NDArray[np.float64]:
    """Magnitudes of the attributions of pixels, summed over windows of WINDOW x WINDOW, those at the end smaller.

    A pixel's attribution is the sum over its channels.
    """
    found: NDArray[np.float64] = np.abs(attribution.values.sum(axis=0))
    for axis in (0, 1):
        found = np.asarray(np.add.reduceat(found, np.arange(0, found.shape[axis], WINDOW), axis=axis), np.float64)
    return found


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs.

    nan where all values of one are equal.
    """
    ranks = [_ranks(values.ravel()) for values in (first, second)]
    centred = [one - one.mean() for one in ranks]
    norm = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm else float("nan")


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)
