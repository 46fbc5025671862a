"""Order statistics of latency samples, in whole nanoseconds."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.percentile import nearest_rank

Nanoseconds = Annotated[int, Field(ge=0)]


class Latency(BaseModel):
    """What the samples say. Percentiles are by nearest rank, so each one is a sample that was really measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    runs: Annotated[int, Field(ge=1)]
    min_ns: Nanoseconds
    p50_ns: Nanoseconds
    p90_ns: Nanoseconds
    p99_ns: Nanoseconds
    max_ns: Nanoseconds
    mean_ns: Nanoseconds


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
    )
