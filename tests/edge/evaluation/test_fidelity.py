"""Differences between results, in quanta and in reals."""

import math

import numpy as np
import pytest

from edge.errors import UsageError
from edge.evaluation.fidelity import Difference, integer_difference, real_difference


def test_equal_arrays_differ_nowhere() -> None:
    """All values counted, none differing."""
    found = integer_difference(np.arange(6, dtype=np.int8), np.arange(6, dtype=np.int8))
    assert found == Difference(values=6)
    assert found.share == 0


def test_differences_are_counted_in_quanta() -> None:
    """int8 extremes do not wrap around."""
    found = integer_difference(np.array([-128, 0, 5, 7], np.int8), np.array([127, 1, 5, 5], np.int8))
    assert found == Difference(values=4, differing=3, beyond_one=2, largest=255)
    assert found.share == 0.75


def test_differences_add_up() -> None:
    """Counts add, the largest stays."""
    total = Difference(values=2, differing=1, largest=1) + Difference(values=3, differing=2, beyond_one=1, largest=4)
    assert total == Difference(values=5, differing=3, beyond_one=1, largest=4)


def test_nothing_compared_has_no_share() -> None:
    """nan, not zero."""
    assert math.isnan(Difference().share)


@pytest.mark.parametrize("other", [np.zeros(3, np.int8), np.zeros(2, np.float32)])
def test_other_shapes_and_floats_are_refused(other: np.ndarray) -> None:
    """Quanta are for integers of one shape."""
    with pytest.raises(UsageError):
        integer_difference(np.zeros(2, np.int8), other)


def test_sqnr_of_a_tenth_of_noise_is_20_decibels() -> None:
    """10 log10(1 / 0.01)."""
    found = real_difference(np.full(100, 1.0), np.full(100, 0.9))
    assert found.sqnr_db == pytest.approx(20.0)
    assert found.largest == pytest.approx(0.1)
    assert (found + found).sqnr_db == pytest.approx(20.0)


def test_not_a_number_is_infinitely_far() -> None:
    """A runtime that answers nan does not pass a tolerance."""
    assert real_difference(np.ones(2), np.array([1.0, np.nan])).largest == math.inf


def test_no_noise_is_infinite_and_no_signal_is_undefined() -> None:
    """The limits of the ratio."""
    assert real_difference(np.ones(2), np.ones(2)).sqnr_db == math.inf
    assert math.isnan(real_difference(np.zeros(2), np.zeros(2)).sqnr_db)
