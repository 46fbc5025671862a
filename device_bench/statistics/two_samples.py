"""Two sets of blocks of samples, compared: ratio with its interval, two tests, effect size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Blocks = Sequence[Sequence[int]]
Floats = NDArray[np.float64]
RESAMPLES = 1000
MOST_SAMPLES = 20_000
STEPS = 2000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """NEW against BASE.

    Attributes:
        base, new: the percentiles. ratio: NEW / BASE: above 1 is slower.
        error: standard error of the ratio's logarithm. freedom: degrees of freedom behind it.
        mann_whitney_p: two-sided, over the blocks' own percentiles.
        cliffs_delta: P(a sample of NEW is above one of BASE) - P(below), over all samples, in [-1, 1].
    """

    base: float
    new: float
    ratio: float
    error: float
    freedom: float
    mann_whitney_p: float
    cliffs_delta: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """Bounds of the ratio with confidence 1 - alpha."""
        reach = student_quantile(1 - alpha / 2, self.freedom) * self.error
        return self.ratio * math.exp(-reach), self.ratio * math.exp(reach)

    def p_beyond(self, min_effect: float) -> float:
        """Two-sided p of the hypothesis that the ratio lies within a factor of 1 + min_effect of 1."""
        distance = abs(math.log(self.ratio)) - math.log1p(min_effect)
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return min(1.0, 2 * (1 - student_below(distance / self.error, self.freedom)))


def compare_blocks(base: Blocks, new: Blocks, share: float, seed: int = 0) -> Comparison:
    """Compare the `share` quantile (0.5: the median) of two sets of samples.

    Whole blocks are drawn with replacement, separately on both sides, RESAMPLES times: a block bootstrap, since the
    samples within one are correlated (Davison and Hinkley, Bootstrap Methods and their Application, sections 2.3 and
    8.2). The spread of the ratio's logarithm, widened by sqrt(blocks / (blocks - 1)) for the few blocks, is the
    standard error; Student's t with Welch and Satterthwaite's degrees of freedom turns it into interval and p.

    Args:
        base, new: at least two blocks each, none empty, nanoseconds or counts, above 0 at the quantile.
        seed: of the drawing.
    """
    random = np.random.default_rng(seed)
    sides = [[np.asarray(block, dtype=np.float64) for block in side] for side in (base, new)]
    quantiles = [max(_quantile(np.concatenate(side), share), 1e-9) for side in sides]
    variances = [_log_variance(side, share, random) for side in sides]
    total = sum(variances)
    freedom = (
        total**2 / sum(variance**2 / (len(side) - 1) for variance, side in zip(variances, sides, strict=True))
        if total > 0
        else float(min(len(side) for side in sides) - 1)
    )
    own = [np.array([_quantile(block, share) for block in side]) for side in sides]
    return Comparison(
        base=quantiles[0],
        new=quantiles[1],
        ratio=quantiles[1] / quantiles[0],
        error=math.sqrt(total),
        freedom=freedom,
        mann_whitney_p=mann_whitney(own[0], own[1]),
        cliffs_delta=cliffs_delta(np.concatenate(sides[0]), np.concatenate(sides[1])),
    )


def _quantile(values: Floats, share: float) -> float:
    """By nearest rank, as every percentile of a record."""
    rank = max(math.ceil(share * len(values)), 1) - 1
    return float(np.partition(values, rank)[rank])


def _log_variance(side: Sequence[Floats], share: float, random: np.random.Generator) -> float:
    count = len(side)
    most = max(MOST_SAMPLES // count, 1)
    thinned = [block[:: -(-len(block) // most)] for block in side]
    drawn = random.integers(0, count, size=(RESAMPLES, count))
    logs = [
        math.log(max(_quantile(np.concatenate([thinned[place] for place in places]), share), 1e-9)) for places in drawn
    ]
    return float(np.var(logs)) * count / (count - 1)


def mann_whitney(first: Floats, second: Floats) -> float:
    """Two-sided p of the Mann-Whitney U test: normal approximation, ties and continuity corrected; 1 when all tie.

    (Mann and Whitney, Annals of Mathematical Statistics 18, 1947; scipy.stats.mannwhitneyu's `asymptotic` method.)
    """
    n, m = len(first), len(second)
    _, places, counts = np.unique(np.concatenate([first, second]), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    u = float(ranks[places[:n]].sum()) - n * (n + 1) / 2
    total = n + m
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / (total * (total - 1))
    spread = math.sqrt(n * m / 12 * (total + 1 - ties))
    if spread == 0:
        return 1.0
    return min(1.0, math.erfc(max(abs(u - n * m / 2) - 0.5, 0.0) / spread / math.sqrt(2)))


def cliffs_delta(base: Floats, new: Floats) -> float:
    """P(new > base) - P(new < base) over all pairs (Cliff, Psychological Bulletin 114, 1993)."""
    ordered = np.sort(base)
    above = np.searchsorted(ordered, new, side="left").sum(dtype=np.int64)
    below = (len(base) - np.searchsorted(ordered, new, side="right")).sum(dtype=np.int64)
    return float(above - below) / (len(base) * len(new))


def student_below(value: float, freedom: float) -> float:
    """P(T <= value) of Student's t, by Simpson's rule over the angle atan(t / sqrt(freedom))."""
    angle = math.atan(abs(value) / math.sqrt(freedom))
    at = np.linspace(0.0, angle, STEPS + 1)
    heights = np.cos(at) ** (freedom - 1)
    area = angle / STEPS / 3 * float(heights[0] + heights[-1] + 4 * heights[1::2].sum() + 2 * heights[2:-1:2].sum())
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    half = min(scale * area, 0.5)
    return 0.5 + half if value >= 0 else 0.5 - half


def student_quantile(share: float, freedom: float) -> float:
    """The value that Student's t stays below with probability `share`, in [0.5, 1)."""
    low, high = 0.0, 1.0
    while student_below(high, freedom) < share and high < 1e9:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_below(middle, freedom) < share else (low, middle)
    return high


def holm(values: Sequence[float]) -> list[float]:
    """p values adjusted for their number, in their order (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    adjusted = [0.0] * len(values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = largest
    return adjusted
