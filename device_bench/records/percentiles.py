"""Order statistics of latency samples, in whole nanoseconds."""

from collections.abc import Sequence

from device_bench.records.record_types import Count, Positive
from device_bench.statistics.early_stopping import early_stopping_ns
from device_bench.statistics.order_bounds import order_bounds
from edge.percentile import nearest_rank
from edge.strict import Strict

Bounds = tuple[Count, Count]


class Confidence(Strict):
    """Samples between which the true percentiles lie with 95 %; None: too few samples (6, 36 and 368 are the least).

    Nothing is assumed about the distribution, but that samples do not depend on each other: neighbours in time do, a
    little, so the true bounds are somewhat wider. Several runs tell more than many samples of one.
    """

    p50: Bounds | None
    p90: Bounds | None
    p99: Bounds | None


class EarlyStopping(Strict):
    """MLPerf's estimate at confidence 0.99; None: too few samples (64 and 662 are the least)."""

    p90: Count | None
    p99: Count | None


class Latency(Strict):
    """What the samples say. Percentiles are by nearest rank, so each one is a sample that was really measured."""

    runs: Positive
    min_ns: Count
    p50_ns: Count
    p90_ns: Count
    p99_ns: Count
    max_ns: Count
    mean_ns: Count
    confidence: Confidence
    early_stopping: EarlyStopping


def summarize(samples_ns: Sequence[int]) -> Latency:
    """Summarize samples in any order; the mean is rounded down to a nanosecond. Refuses (EdgeError) none at all."""
    ordered = sorted(samples_ns)
    median = nearest_rank(ordered, 50)
    return Latency(
        runs=len(ordered),
        min_ns=ordered[0],
        p50_ns=median,
        p90_ns=nearest_rank(ordered, 90),
        p99_ns=nearest_rank(ordered, 99),
        max_ns=ordered[-1],
        mean_ns=sum(ordered) // len(ordered),
        confidence=Confidence(p50=_bounds(ordered, 0.5), p90=_bounds(ordered, 0.9), p99=_bounds(ordered, 0.99)),
        early_stopping=EarlyStopping(p90=early_stopping_ns(ordered, 90), p99=early_stopping_ns(ordered, 99)),
    )


def _bounds(ordered: Sequence[int], share: float) -> Bounds | None:
    ranks = order_bounds(len(ordered), share)
    return None if ranks is None else (ordered[ranks[0] - 1], ordered[ranks[1] - 1])
