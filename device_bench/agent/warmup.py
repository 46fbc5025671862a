"""When a warm-up is over: the running median has settled."""

from collections.abc import Sequence

from edge.percentile import nearest_rank

LEAST_WINDOW = 8
WINDOW_SHARE = 4  # a window is a fourth of what was seen
STEPS = 4  # windows are compared at every fourth of a window
SETTLED_PERCENT = 2


def stable(samples_ns: Sequence[int]) -> bool:
    """Whether the running median stayed within 2 % over the last two windows.

    A window is a fourth of all samples so far, eight at least; its median is taken at five places, from the last but
    one window to the last. They are settled when the largest is at most 2 % above the smallest. A drift of more than
    that within a fourth of the samples, or a step between the middles of both windows, keeps a warm-up going; outliers
    do not, and noise is averaged by longer windows.

    Args:
        samples_ns: in the order of time; fewer than 16 are never stable.
    """
    window = max(LEAST_WINDOW, len(samples_ns) // WINDOW_SHARE)
    if len(samples_ns) < 2 * window:
        return False
    first = len(samples_ns) - 2 * window
    starts = [first + window * step // STEPS for step in range(STEPS + 1)]
    medians = [nearest_rank(sorted(samples_ns[start : start + window]), 50) for start in starts]
    return (max(medians) - min(medians)) * 100 <= SETTLED_PERCENT * min(medians)
