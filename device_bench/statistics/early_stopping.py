"""The early-stopping rule of MLPerf Inference's load generator: a percentile that so few samples can vouch for."""

from collections.abc import Sequence
from functools import lru_cache

from device_bench.statistics.binomial import cumulative

CONFIDENCE = 0.99


@lru_cache(maxsize=4096)
def discarded(count: int, percent: int, confidence: float = CONFIDENCE) -> int | None:
    """t: the estimate is the t-th largest of `count` latencies (t = 1: the largest).

    The largest t such that t or fewer of `count` latencies would exceed the true percentile with a probability below
    1 - confidence; tolerance 0 (loadgen's early_stopping and results). None where even t = 1 does not hold: below 64
    samples for the 90th, 662 for the 99th percentile, at confidence 0.99.
    """
    found = None
    for number, below in cumulative(count, 1 - percent / 100):  # below = P(number - 1 or fewer exceed it)
        if not below < 1 - confidence:
            break
        found = number - 1
    return found if found is not None and found >= 1 else None


def early_stopping_ns(ordered_ns: Sequence[int], percent: int) -> int | None:
    """The estimate of a percentile from ascending latencies, never below it; None where they are too few."""
    largest = discarded(len(ordered_ns), percent) if ordered_ns else None
    return None if largest is None else ordered_ns[len(ordered_ns) - largest]
