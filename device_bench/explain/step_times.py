"""Times of operators from several passes, each with sessions of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

# 97.5 % quantiles of Student's t by degrees of freedom (any statistics table), from one on.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
MANY = 1.96


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One operator: its time, less what a call takes and so possibly a little negative, and a 95 % interval."""

    time_ns: int
    low_ns: int
    high_ns: int


def step_times(states: Sequence[Sequence[Sequence[float]]]) -> list[StepTime]:
    """The middle of the states; the interval reaches from the lowest to the highest state's.

    In each state it is the mean over the passes, and Student's t over them: where a session lies in memory makes it
    faster or slower by more than its rounds vary, so that the passes are what must be counted.

    Args:
        states: at least one, of at least two passes; one time per operator, nanoseconds.
    """
    times = np.array(states, np.float64)
    count = times.shape[1]
    middles = times.mean(axis=1)
    quantile = STUDENT_T[count - 2] if count - 2 < len(STUDENT_T) else MANY
    halves = quantile * times.std(axis=1, ddof=1) / sqrt(count)
    columns = (middles.mean(axis=0), (middles - halves).min(axis=0), (middles + halves).max(axis=0))
    return [
        StepTime(time_ns=round(time), low_ns=round(low), high_ns=round(high))
        for time, low, high in zip(*(column.tolist() for column in columns), strict=True)
    ]
