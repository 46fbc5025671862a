"""Whether a model knows anything: the lower end of its metric's 95 % interval against answers that look at no pixel."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from edge.artifact.verdict import Finding
from edge.data.splits import Split
from edge.evaluation.baseline import majority_class, other_half_score
from edge.evaluation.box_baseline import other_half_precision
from edge.evaluation.multi_label import Truths, mean_average_precision

Z = 1.959963984540054  # of the normal distribution, two-sided 95 %
RESAMPLES = 400
SEED = 20260101


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What knowing nothing reaches on some images, in [0, 1], and how that was reached, in words."""

    value: float
    how: str


def chance_of(split: Split, count: int, metric: str) -> Chance:
    """What a model that looks at no pixel reaches on the first `count` images of a split.

    `top1`: always the commonest class. `mean_average_precision`: the best of orders by chance. `miou` and `map`: for
    every image the commonest class of every place, or the commonest boxes, in the half of the split that it is not in.
    """
    if metric == "top1":
        majority = majority_class(split.subset(range(count)))
        return Chance(value=majority.top1, how=f"always '{split.classes[majority.label]}'")
    if metric == "mean_average_precision":
        truth = np.stack([split.truth(index) for index in range(count)])
        return Chance(value=mean_average_precision_by_chance(truth), how="the best of 40 orders by chance")
    if metric == "map":
        return Chance(value=other_half_precision(split, count), how="the commonest boxes of the split's other half")
    return Chance(value=other_half_score(split, count).mean_iou, how="the mean mask of the split's other half")


def wilson_lower(right: int, count: int, z: float = Z) -> float:
    """The lower end of Wilson's score interval of a share, 95 % for the `z` given here, in [0, 1]; 0 for no images."""
    if not count:
        return 0.0
    share = right / count
    centre = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, (centre - spread) / (1 + z * z / count))


def bootstrap_lower(images: int, metric: Callable[[NDArray[np.int64]], float]) -> float:
    """The lower end of the 95 % percentile interval over resampled images; 0 for no images.

    Args:
        metric: of a resample, from how often each image stands in it, int64 (images,).
    """
    if not images:
        return 0.0
    random = np.random.default_rng(SEED)
    drawn = [np.bincount(random.integers(0, images, images), minlength=images) for _ in range(RESAMPLES)]
    found = np.array([metric(times) for times in drawn])
    return float(np.nanquantile(found, 0.025)) if np.isfinite(found).any() else 0.0


def mean_iou_lower(right: NDArray[np.int64], union: NDArray[np.int64]) -> float:
    """The lower end for mean IoU, all images of a resample pooled.

    Args:
        right, union: (images, classes): pixels of each image in the intersection and in the union of truth and answer.
    """

    def metric(times: NDArray[np.int64]) -> float:
        intersections, unions = times @ right, times @ union
        occurs = unions > 0
        return float((intersections[occurs] / unions[occurs]).mean()) if occurs.any() else float("nan")

    return bootstrap_lower(len(right), metric)


def mean_average_precision_by_chance(truth: Truths) -> float:
    """What 97.5 % of all orders by chance stay below: of few images even they reach more than the labels' shares.

    Args:
        truth: (images, labels).
    """
    random = np.random.default_rng(SEED)
    drawn = [random.random(truth.shape, np.float32) for _ in range(RESAMPLES)]
    return float(np.quantile([mean_average_precision(values, truth) for values in drawn], 0.975))


def chance_finding(subject: str, metric: str, value: float, lower: float, chance: Chance, images: int) -> Finding:
    """Judge whether a model knows anything: the lower end of its metric's 95 % interval lies above chance.

    Args:
        value, lower: the metric and the lower end, in [0, 1].
    """
    passed = lower > chance.value
    at_least = "" if lower == value else f", at least {lower:.2%} (95 %)"
    detail = f"{metric} {value:.2%}{at_least}; {chance.how} reaches {chance.value:.2%}"
    if not passed:
        detail += f": {images} images do not show that it knows more than that"
    data = {"metric": metric, "value": value, "lower": lower, "chance": chance.value}
    return Finding(check="chance", subject=subject, passed=passed, detail=detail, data=data)
