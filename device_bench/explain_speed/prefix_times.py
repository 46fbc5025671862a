"""Times of operators from times of a model's beginnings, taken in turn so that drift hits all alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

RESAMPLES = 400
SEED = 20
# 97.5 % quantiles of Student's t by degrees of freedom (ISO 3534-1; any statistics table).
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
MANY = 1.96


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One operator: its time, by differences possibly negative, and a 95 % interval."""

    time_ns: int
    low_ns: int
    high_ns: int


def step_times(passes: Sequence[Sequence[npt.NDArray[np.int64]]]) -> list[StepTime]:
    """What every beginning takes more than the one before it; the first one's whole time.

    Within a pass it is the difference of two medians over the rounds. Passes use sessions of their own, for where a
    session lies in memory makes it faster or slower by more than the rounds vary: the time is the mean over the passes
    and the interval Student's t over them.

    Args:
        passes: at least two, of groups (rounds, beginnings) of int64 nanoseconds each, timed in turn; a group's first
            column is the same beginning as the last one of the group before.
    """
    steps = np.array([_steps(groups) for groups in passes])
    count = len(steps)
    middle = steps.mean(axis=0)
    quantile = STUDENT_T[count - 2] if count - 2 < len(STUDENT_T) else MANY
    half = quantile * steps.std(axis=0, ddof=1) / sqrt(count)
    return [
        StepTime(time_ns=round(time), low_ns=round(time - width), high_ns=round(time + width))
        for time, width in zip(middle.tolist(), half.tolist(), strict=True)
    ]


def _steps(groups: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    found: list[npt.NDArray[np.float64]] = []
    for number, times in enumerate(groups):
        medians = np.median(times, axis=0)
        found.append(np.diff(medians, prepend=0.0)[1 if number else 0 :])
    return np.concatenate(found)
