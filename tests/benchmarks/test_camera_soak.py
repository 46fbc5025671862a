"""A minute of `edge camera` on a network camera, and what the reader of its readings calls flat."""

from pathlib import Path

import pytest

from tests.benchmarks.camera_soak import flatness, soak


def test_a_slope_is_seen_through_outliers() -> None:
    steady = [(float(second), 100.0 + second % 3 + 50 * (second == 7)) for second in range(60)]
    leaking = [(second, value + second / 10) for second, value in steady]
    assert flatness("memory", steady).holds and abs(flatness("memory", steady).growth) < 1
    assert not flatness("memory", leaking).holds and 5 < flatness("memory", leaking).growth < 7


@pytest.mark.slow
def test_a_minute_changes_nothing(tmp_path: Path) -> None:
    _, _, wrong = soak(tmp_path, minutes=1, rate=10, every_s=1)
    assert wrong == []
