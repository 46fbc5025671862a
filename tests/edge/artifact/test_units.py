"""Durations and sizes carry their unit."""

import pytest

from edge.artifact.units import duration_ns, duration_text, size_bytes, size_text
from edge.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value_ns"),
    [("30ms", 30_000_000), ("800us", 800_000), ("800µs", 800_000), ("1.2s", 1_200_000_000), ("7 ns", 7)],
)
def test_a_duration_is_whole_nanoseconds(text: str, value_ns: int) -> None:
    assert duration_ns(text) == value_ns


@pytest.mark.parametrize(
    ("text", "value_bytes"), [("4MB", 4_000_000), ("4MiB", 4_194_304), ("1.5kB", 1500), ("900B", 900)]
)
def test_a_size_is_whole_bytes(text: str, value_bytes: int) -> None:
    assert size_bytes(text) == value_bytes


@pytest.mark.parametrize("text", ["30", "30 ", "0ms", "-3ms", "30min", "ms", "", "1e3ms", "3MB", "nan ms", "30ms 2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        duration_ns(text)


def test_a_missing_unit_is_said() -> None:
    with pytest.raises(UsageError, match=r"'30' has no unit; write a number and one of ns, us, ms, s, such as 30ms"):
        duration_ns("30")
    with pytest.raises(UsageError, match="'4' has no unit"):
        size_bytes("4")


def test_values_are_written_with_three_digits() -> None:
    assert [duration_text(value) for value in (27_312_000, 812_000, 1_250_000_000, 30_000_000, 999)] == [
        "27.3 ms",
        "812 us",
        "1.25 s",
        "30 ms",
        "999 ns",
    ]
    assert size_text(4_000_688) == "4.00 MB"
