"""Percentiles by nearest rank: the one definition behind every p50, p90 and p99 of this product."""

from collections.abc import Sequence

from edge.errors import EdgeError


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The smallest sample such that at least `percent` % of all samples are not above it: one that was really measured.

    Args:
        ordered: ascending. Refused (EdgeError) when empty.
        percent: in 1..100; the sample's place is ceil(percent * n / 100), counted from 1.
    """
    if not ordered:
        raise EdgeError("no samples, so no percentile")
    return ordered[-(-percent * len(ordered) // 100) - 1]
