"""Percentiles are by nearest rank: checked against the definition and in closed form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bench.records.percentiles import summarize
from edge.errors import EdgeError
from edge.percentile import nearest_rank


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 100])
def test_of_one_to_a_hundred_the_percentile_is_the_percent(percent: int) -> None:
    assert nearest_rank(range(1, 101), percent) == percent


def test_of_ten_samples_p90_is_the_ninth_and_p99_the_tenth() -> None:
    ordered = list(range(10, 110, 10))
    assert (nearest_rank(ordered, 50), nearest_rank(ordered, 90), nearest_rank(ordered, 99)) == (50, 90, 100)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.integers(1, 100))
def test_percentile_is_the_smallest_sample_with_enough_below(samples: list[int], percent: int) -> None:
    ordered = sorted(samples)
    value = nearest_rank(ordered, percent)
    assert sum(sample <= value for sample in ordered) * 100 >= percent * len(ordered)
    below = [sample for sample in ordered if sample < value]
    assert len(below) * 100 < percent * len(ordered)


def test_summary_does_not_depend_on_the_order() -> None:
    summary = summarize([5, 1, 4, 2, 3])
    assert summary == summarize([1, 2, 3, 4, 5])
    assert (summary.runs, summary.min_ns, summary.p50_ns, summary.max_ns, summary.mean_ns) == (5, 1, 3, 5, 3)


def test_no_samples_are_refused() -> None:
    with pytest.raises(EdgeError, match="no samples"):
        summarize([])
