"""Raw outputs of an engine to class scores."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort, dequantize

NOTHING = np.float32(-np.inf)
FEW = 8
"""So many best ones are found one by one, faster than by sorting."""


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """The best classes, the first first; equal scores in index order. probabilities: in [0, 1], of the same length.

    `decided`: how many of them, from the first on, are the prediction: 1 where classes exclude each other; of
    independent labels those with a probability of at least 0.5, which may be none.
    """

    indices: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    decided: int = 1


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis, the largest logit subtracted first."""
    if logits.ndim == 1:  # the same numbers in two thirds of the time
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum(), dtype=np.float32)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without an overflow on either side."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), dtype=np.float32)


def threshold(told: DescribedPort, probability: float = 0.5) -> np.float32:
    """The real value of a score at which it has this probability, in (0, 1)."""
    return np.float32(math.log(probability / (1 - probability)) if told.meaning == "logits" else probability)


def ranked_values(output: NDArray[np.generic], told: DescribedPort, probability: float = 0.5) -> NDArray[np.float32]:
    """The values that a classifier's decision is read from.

    Every road to a decision (a predictor's, an evaluation's, a verification's) takes this one.

    Args:
        output: one image's scores, (1, classes) or with further axes of size 1, raw.
        probability: from which on yes, or an independent label, holds.

    Returns:
        float32 (classes,). Exclusive: the first of the largest wins. One score: two values, of no and of yes, and again
        the larger wins: yes from the probability on. Independent: a label holds where its value is not negative.
    """
    return _ranked(dequantize(output.reshape(-1), told.scale, told.zero_point), told, probability)


def _ranked(real: NDArray[np.float32], told: DescribedPort, probability: float) -> NDArray[np.float32]:
    if real.size == 1:
        below = np.nextafter(threshold(told, probability), np.float32(-np.inf))  # nothing lies between it and that
        return np.array([below, real[0]], np.float32)
    # The difference of two float32 is negative exactly where the first is the smaller one.
    return real - threshold(told, probability) if told.scores == "independent" else real


def probabilities(output: NDArray[np.generic], told: DescribedPort) -> NDArray[np.float32]:
    """float32 (classes,): the probability of every class or label; of no and of yes for one score."""
    return _probabilities(dequantize(output.reshape(-1), told.scale, told.zero_point), told)


def _probabilities(real: NDArray[np.float32], told: DescribedPort) -> NDArray[np.float32]:
    if told.meaning == "logits":
        real = sigmoid(real) if told.scores == "independent" else softmax(real)
    return np.array([1 - real[0], real[0]], np.float32) if real.size == 1 else real


def class_scores(
    output: NDArray[np.generic],
    told: DescribedPort,
    names: tuple[str, ...],
    *,
    top: int = 5,
    probability: float | None = None,
) -> ClassScores:
    """The best classes of one image.

    Args:
        output: (classes,) or (1, classes), integer with scale and zero point, or float.
        names: class names by index, one per score; two for one score.
        top: how many; fewer where there are fewer classes, more where more labels are decided.
        probability: from which on a label holds, or yes, 0.5 by default; of classes that exclude each other the best
            is decided if it has so much, and by default always.
    """
    real = dequantize(output.reshape(-1), told.scale, told.zero_point)
    values = _ranked(real, told, 0.5 if probability is None else probability)
    if values.size != len(names):
        raise UsageError(f"the model gives {values.size} scores and there are {len(names)} class names")
    independent = told.scores == "independent" and output.size > 1
    decided = int(np.count_nonzero(values >= 0)) if independent else 1
    # Ordered by the values themselves: softmax in float32 can make two different logits equal.
    best = _first_of_sorted(values, max(top, decided))
    if told.meaning == "logits" and told.scores != "independent" and real.size > 1:
        powers = np.exp(real - real[best[0]])  # softmax, divided where it is asked for
        shares = powers[best] / powers.sum()
    else:
        shares = _probabilities(real, told)[best]
    if probability is not None and not independent and output.size > 1:
        decided = int(shares[0] >= probability)
    return ClassScores(
        indices=tuple(best),
        names=tuple([names[index] for index in best]),
        probabilities=tuple(shares.tolist()),
        decided=decided,
    )


def _first_of_sorted(values: NDArray[np.float32], count: int) -> list[int]:
    """Where the `count` largest stand, the largest first, of equal ones the first first, no numbers last."""
    best: list[int] = []
    if count <= FEW:
        left = values.copy()
        for _ in range(min(count, left.size)):
            place = int(left.argmax())
            if not math.isfinite(left.item(place)):
                break  # a nan, which is the largest to argmax, or what is left is taken already
            best.append(place)
            left[place] = NOTHING
        else:
            return best
    return [int(index) for index in np.argsort(-values, kind="stable")[:count]]
