"""Between which samples a percentile lies, with a stated confidence and no assumption about the distribution."""

import math
from functools import lru_cache

CONFIDENCE = 0.95


@lru_cache(maxsize=4096)
def order_bounds(count: int, share: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 1) of the two ordered samples between which the `share` quantile lies with `confidence`.

    The number of independent samples below the quantile is Binomial(count, share); each side is left at most half of
    what remains of the confidence (Hahn and Meeker, Statistical Intervals, section 5.2).

    Returns:
        (low, high), or None where `count` samples cannot bound the quantile on both sides.
    """
    if count < 1:
        return None
    beyond = (1 - confidence) / 2
    log_share, log_rest, top = math.log(share), math.log1p(-share), math.lgamma(count + 1)
    below, low, high = 0.0, 0, count + 1
    for number in range(count + 1):  # below = P(fewer than `number` samples lie below the quantile)
        if below <= beyond:
            low = number
        if 1 - below <= beyond:
            high = number
            break
        ways = top - math.lgamma(number + 1) - math.lgamma(count - number + 1)
        below += math.exp(ways + number * log_share + (count - number) * log_rest)
    return (low, high) if low >= 1 and high <= count else None
