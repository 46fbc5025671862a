"""Counts become a baseline file and are held to it; what the plugin wrote is distrusted."""

from pathlib import Path

import pytest

from device_bench.bench.instruction_baseline import Baseline, Comparison, CountEntry, read_baseline
from device_bench.targets.emulated_arm64.target import differences, folder_of, parse_marks
from device_bench.targets.target import TargetOptions
from edge.errors import FileError, UsageError


def entry(instructions: int, **changes: str) -> CountEntry:
    """A count of one model on one core."""
    fields = {
        "model": "v2",
        "file": "model.tflite",
        "engine": "litert:xnnpack",
        "cpu": "cortex-a76",
        "version": "2.3.0",
    }
    return CountEntry(**{**fields, **changes}, file_sha256="0" * 64, instructions=instructions)


@pytest.mark.parametrize(("now", "regressed"), [(1_005_000, False), (1_005_100, True), (900_000, False)])
def test_half_a_percent_more_is_allowed(now: int, regressed: bool) -> None:
    comparison = Comparison(now=entry(now), base=entry(1_000_000))
    assert comparison.regressed is regressed
    assert f"{now:,}" in comparison.words and "1,000,000" in comparison.words


def test_a_count_without_a_baseline_fails_and_says_how_to_add_it() -> None:
    comparison = Comparison(now=entry(5), base=None)
    assert comparison.regressed and "--write-baseline" in comparison.words


def test_another_runtime_version_is_named() -> None:
    words = Comparison(now=entry(2, version="2.4.0"), base=entry(1)).words
    assert "2.4.0" in words and "2.3.0" in words


@pytest.mark.parametrize("text", ["", "[]", '{"baseline_version": 2, "counts": []}', "\udcff"])
def test_what_is_no_baseline_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FileError, match=r"is not a baseline|is not UTF-8 text"):
        read_baseline(path)


def test_two_counts_of_one_thing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_text(Baseline(baseline_version=1, counts=(entry(1), entry(2))).model_dump_json())
    with pytest.raises(FileError, match="two counts of v2"):
        read_baseline(path)
    with pytest.raises(FileError, match="--write-baseline makes one"):
        read_baseline(tmp_path / "none.json")


def test_runs_are_differences_of_two_marks_each() -> None:
    marks = parse_marks("0 100 7\n1 150 7\n2 160 7\n3 230 7\n")
    assert differences(marks, 0, 2) == [50, 70]
    with pytest.raises(LookupError):
        differences(marks, 0, 3)


def test_a_missing_mark_and_another_thread_are_refused() -> None:
    with pytest.raises(ValueError, match="mark 1 is missing"):
        parse_marks("0 100 0\n2 150 0\n")
    with pytest.raises(ValueError, match="another thread executed 5"):
        differences(parse_marks("0 100 0\n1 150 5\n"), 0, 1)


def test_the_folder_stands_in_the_name_or_in_the_option() -> None:
    options = TargetOptions(userland=Path("b"))
    assert folder_of("emulated-arm64", TargetOptions()) is None
    assert folder_of("emulated-arm64:a", TargetOptions()) == Path("a")
    assert folder_of("emulated-arm64", options) == Path("b")
    for name in ("emulated-arm64:a", "emulated-arm64:"):
        with pytest.raises(UsageError):
            folder_of(name, options)
