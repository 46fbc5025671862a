"""The table of operators and kernel sets in docs/fidelity.md."""

import json
import sys

import pytest

from tests.benchmarks.kernel_sets import MAKERS, main


def test_default_kernels_are_exact_and_others_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    asked = [word for name in ("Conv 1x1", "Resize linear", "MaxPool") for word in ("--operator", name)]
    assert main([*asked, "--draws", "2", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    litert = {(row["operator"], row["kernel_set"]): row for row in rows if row["kernel_set"].startswith("litert")}
    assert all(row["differing"] == 0 for (_, name), row in litert.items() if name == "litert default here")
    assert litert["Resize linear", "litert builtin here"]["largest_quanta"] == 1
    assert litert["MaxPool", "litert reference here"]["ran"] == ["reference"]


def test_other_interpreters_give_columns_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--operator", "Add", "--draws", "1", "--json", "--python", sys.executable]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 2 * len({row["kernel_set"].split()[1] for row in rows})


def test_every_kind_with_a_formula_is_in_the_table() -> None:
    assert {"Conv 3x3", "ConvTranspose 4x4 / 2", "Gemm over 3 axes", "Add", "ReduceSum", "Softmax"} <= set(MAKERS)
