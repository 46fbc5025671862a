"""What an explanation's split is held against: refused in one line where there is nothing to hold."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.split_check import print_split, told_ns

TOGETHER = {"operators": [{"names": ["a", "b"], "time_ns": 5}]}


@pytest.mark.parametrize("explanation", [None, {"operators": []}, TOGETHER])
def test_an_explanation_without_times_of_single_operators_is_refused(tmp_path: Path, explanation: object) -> None:
    record = tmp_path / "explained.jsonl"
    record.write_text(json.dumps({"explanation": explanation}), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"explained\.jsonl: its first record explains no operator by itself"):
        told_ns(record)


@pytest.mark.parametrize("measured", [{}, {"b": 1.0}])
def test_operators_that_only_one_of_both_knows_are_refused(measured: dict[str, float]) -> None:
    with pytest.raises(SystemExit, match=f"none of the {len(measured)} operators"):
        print_split({"a": 1.0}, measured, "profile")
