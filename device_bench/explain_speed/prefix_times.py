"""Times of operators from times of a model's beginnings, taken in turn so that drift hits all alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 400
SEED = 20


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """One operator: the difference of two medians, and its 95 % bootstrap interval over the rounds. May be negative."""

    time_ns: int
    low_ns: int
    high_ns: int


def time_in_turn(
    calls: Sequence[Callable[[], object]], *, rounds: int, clock: Callable[[], int] = time.perf_counter_ns
) -> npt.NDArray[np.int64]:
    """Time every call once a round, after one untimed call of its own that brings its data into the caches.

    Returns:
        (rounds, len(calls)) int64 nanoseconds.
    """
    times = np.zeros((rounds, len(calls)), np.int64)
    for turn in range(rounds):
        for position, call in enumerate(calls):
            call()
            start = clock()
            call()
            times[turn, position] = clock() - start
    return times


def step_times(times: npt.NDArray[np.int64]) -> list[StepTime]:
    """What every column takes more than the one before it; the first one's whole time.

    Args:
        times: (rounds, prefixes) as of `time_in_turn`; the same rounds are drawn for both medians of a difference.
    """
    rounds, count = times.shape
    medians = [int(value) for value in np.median(times, axis=0)]
    drawn = np.random.default_rng(SEED).integers(0, rounds, (RESAMPLES, rounds))
    resampled = np.median(times[drawn], axis=1)
    steps = np.diff(resampled, axis=1, prepend=0.0)
    low, high = np.quantile(steps, (0.025, 0.975), axis=0)
    return [
        StepTime(
            time_ns=medians[index] - (medians[index - 1] if index else 0),
            low_ns=int(low[index]),
            high_ns=int(high[index]),
        )
        for index in range(count)
    ]
