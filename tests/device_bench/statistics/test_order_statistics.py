"""Bounds of percentiles and the early-stopping estimate, against exact sums of the binomial distribution."""

import random
from fractions import Fraction
from functools import cache
from itertools import accumulate
from math import comb

import pytest

from device_bench.records.percentiles import summarize
from device_bench.statistics.binomial import cumulative
from device_bench.statistics.early_stopping import discarded, early_stopping_ns
from device_bench.statistics.order_bounds import order_bounds


@cache
def sums(count: int, percent: int) -> list[Fraction]:
    """P(X <= k) of X ~ Binomial(count, percent / 100), exactly, in place k + 1; place 0 holds P(X < 0)."""
    terms = (comb(count, k) * percent**k * (100 - percent) ** (count - k) for k in range(count + 1))
    return [Fraction(0), *(Fraction(total, 100**count) for total in accumulate(terms))]


@pytest.mark.parametrize(("count", "percent"), [(1, 50), (40, 90), (400, 99), (600, 50)])
def test_cumulative_sums_are_the_exact_ones(count: int, percent: int) -> None:
    for number, below in cumulative(count, percent / 100):
        assert below == pytest.approx(float(sums(count, percent)[number]), abs=1e-10)


def test_of_twenty_thousand_the_sums_end_at_one() -> None:
    for share in (0.01, 0.1, 0.5, 0.9, 0.99):
        steps = list(cumulative(20_000, share))
        assert steps[0][1] == 0 and steps[-1][1] == pytest.approx(1, abs=1e-8) and len(steps) < 2500


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize("count", [6, 40, 100, 400])
def test_bounds_hold_by_exact_arithmetic_and_are_the_narrowest_per_side(count: int, percent: int) -> None:
    exact, beyond = sums(count, percent), Fraction(25, 1000)
    ranks = order_bounds(count, percent / 100)
    lows = [low for low in range(1, count + 1) if exact[low] <= beyond]
    highs = [high for high in range(1, count + 1) if 1 - exact[high] <= beyond]
    assert ranks == ((lows[-1], highs[0]) if lows and highs else None)


@pytest.mark.parametrize(("percent", "least"), [(50, 6), (90, 36), (99, 368)])
def test_fewer_samples_than_the_least_have_no_bounds(percent: int, least: int) -> None:
    assert order_bounds(least - 1, percent / 100) is None
    assert order_bounds(least, percent / 100) is not None


def test_the_median_of_drawn_samples_lies_within_its_bounds_as_often_as_promised() -> None:
    generator = random.Random(7)
    held = 0
    for _ in range(2000):
        ordered = sorted(generator.expovariate(1.0) for _ in range(50))
        low, high = order_bounds(50, 0.5) or (0, 0)
        held += ordered[low - 1] <= 0.6931 <= ordered[high - 1]
    assert 0.94 <= held / 2000 <= 0.98


# What mlcommons-loadgen 6.0.17 reported as its early-stopping estimate: its rank among the latencies of its own trace.
LOADGEN_RANKS = {
    63: (None, None),
    64: (64, None),
    100: (98, None),
    200: (191, None),
    661: (614, None),
    662: (615, 662),
    1000: (923, 999),
}


@pytest.mark.parametrize("count", LOADGEN_RANKS)
def test_the_early_stopping_estimate_is_the_sample_that_loadgen_reports(count: int) -> None:
    ranked = range(1, count + 1)
    assert tuple(early_stopping_ns(ranked, percent) for percent in (90, 99)) == LOADGEN_RANKS[count]


@pytest.mark.parametrize("count", [64, 100, 200, 700])
@pytest.mark.parametrize("percent", [90, 99])
def test_early_stopping_discards_as_many_as_the_exact_sums_allow(count: int, percent: int) -> None:
    exact = sums(count, 100 - percent)
    allowed = [t for t in range(1, count) if exact[t + 1] < Fraction(1, 100)]
    assert discarded(count, percent) == (allowed[-1] if allowed else None)


PUBLISHED_RUNS = [(100, 2), (201, 9), (659, 47), (708, 51), (2048, 172), (2116, 178), (79944, 7796)]


@pytest.mark.parametrize(("count", "printed"), PUBLISHED_RUNS)
def test_early_stopping_agrees_with_what_loadgen_printed_of_its_runs(count: int, printed: int) -> None:
    """Of published runs at p90 it prints how many latencies it discards, t - 1: its estimate is the t-th largest."""
    assert discarded(count, 90) == printed + 1


def test_the_estimate_is_a_sample_and_not_below_the_percentile() -> None:
    latency = summarize(range(20_000))
    assert latency.early_stopping.p90 is not None and latency.early_stopping.p90 > latency.p90_ns
    assert early_stopping_ns(range(64), 90) == 63
    assert early_stopping_ns([], 90) is None


def test_a_summary_of_few_samples_has_only_the_bounds_that_they_carry() -> None:
    latency = summarize(range(100, 140))
    assert latency.confidence.p50 == (113, 126)
    assert latency.confidence.p90 is not None and latency.confidence.p99 is None
    assert (latency.early_stopping.p90, latency.early_stopping.p99) == (None, None)
