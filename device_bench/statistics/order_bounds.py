"""Between which samples a percentile lies, with a stated confidence and no assumption about the distribution."""

from functools import lru_cache

from device_bench.statistics.binomial import cumulative

CONFIDENCE = 0.95


@lru_cache(maxsize=4096)
def order_bounds(count: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 1) of the two ordered samples between which the `share` quantile lies with `confidence`.

    The number of independent samples below the quantile is Binomial(count, share); each side is left at most half of
    what remains of the confidence (Hahn and Meeker, Statistical Intervals, section 5.2). At 95 % the least number of
    samples is 6 for the median, 36 for the 90th and 368 for the 99th percentile.

    Returns:
        (low, high), or None where `count` samples cannot bound the quantile on both sides.
    """
    if count < 1:
        return None
    beyond = (1 - confidence) / 2
    low, high = 0, count + 1
    for number, below in cumulative(count, share):  # below: fewer than `number` samples lie below the quantile
        if below <= beyond:
            low = number
        if 1 - below <= beyond:
            high = number
            break
    return (low, high) if low >= 1 and high <= count else None
