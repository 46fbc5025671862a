"""A state follows a value that flickers, and not its flicker."""

import math

import pytest

from edge.camera.hysteresis import Hysteresis, Thresholds
from edge.errors import UsageError


def changes(thresholds: Thresholds, values: list[tuple[float, float]]) -> list[tuple[float, bool]]:
    """Time and new state of every change; values are (time, value)."""
    state = Hysteresis(thresholds)
    return [(time_s, changed) for time_s, value in values if (changed := state.update(value, time_s)) is not None]


def test_between_the_thresholds_nothing_changes() -> None:
    values = [(0, 0.5), (1, 0.79), (2, 0.8), (3, 0.5), (4, 0.4), (5, 0.39), (6, 0.79), (7, 0.9)]
    assert changes(Thresholds(enter=0.8, leave=0.4), values) == [(2, True), (5, False), (7, True)]


def test_a_threshold_has_to_be_kept_for_its_time_without_a_break() -> None:
    told = Thresholds(enter=0.8, leave=0.4, enter_s=0.5, leave_s=1.0)
    flash = [(0.0, 0.9), (0.4, 0.9), (0.45, 0.7), (0.5, 0.9), (0.9, 0.9), (1.0, 0.9)]
    assert changes(told, flash) == [(1.0, True)]
    dip = [(2.0, 0.1), (2.9, 0.1), (2.95, 0.4), (3.0, 0.1), (3.9, 0.1), (4.0, 0.1)]
    assert changes(told, flash + dip) == [(1.0, True), (4.0, False)]


def test_frames_that_were_never_seen_prove_nothing() -> None:
    """A camera that is away for an hour: the value before and the one after it are no hour of it."""
    told = Thresholds(enter=0.8, leave=0.4, enter_s=0.5, gap_s=5)
    assert changes(told, [(0.0, 0.9), (3600.0, 0.9), (3600.4, 0.9)]) == []
    assert changes(told, [(0.0, 0.9), (3600.0, 0.9), (3600.4, 0.9), (3600.5, 0.9)]) == [(3600.5, True)]


def test_sums_of_frame_times_are_not_a_hair_too_short() -> None:
    times = [0.1 * index for index in range(7)]  # 0.6000000000000001 - 0.1 and such
    assert changes(Thresholds(enter=1, leave=1, enter_s=0.3), [(time, 1.0) for time in times])[0][0] == times[3]


def test_a_value_that_is_no_number_asks_for_nothing() -> None:
    assert changes(Thresholds(enter=0.8, leave=0.4), [(0, 0.9), (1, math.nan), (2, 0.1)]) == [(0, True), (2, False)]


@pytest.mark.parametrize(
    "wrong", [{"enter": 0.4, "leave": 0.8}, {"enter": 1, "leave": 0, "enter_s": -1}, {"enter": math.nan, "leave": 0}]
)
def test_thresholds_that_cannot_hold_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Thresholds(**wrong)
