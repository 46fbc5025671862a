"""How far outputs may be apart: the manifest's bound, or what fewer bits explain."""

from dataclasses import replace

import numpy as np
import pytest

from edge.engines.engine import EngineInfo
from edge.engines.output_difference import (
    difference_allowed_here,
    largest_magnitude,
    output_difference,
    reduced_precision,
    values_apart,
)

FULL = EngineInfo(
    engine="torch",
    version="2",
    kernels="cuda",
    delegate=None,
    operators=1,
    delegated_operators=0,
    threads=1,
    machine="x86_64",
    precision="float32",
)
LOGITS = np.array([[1.0, -8.0], [2.0, 4.0]], np.float32)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"precision": None, "provider_options": {"use_tf32": "1"}, "device": "NVIDIA A10"}, "tf32"),
        ({"provider_options": {"cudnn.allow_tf32": "True"}, "device": "NVIDIA A10"}, "tf32"),
        ({"provider_options": {"cudnn.allow_tf32": "False"}, "device": "NVIDIA A10"}, None),
        ({"provider_options": {"cudnn.allow_tf32": "True"}}, None),  # no GPU
    ],
)
def test_fewer_bits_are_told_by_what_really_runs(changed: dict[str, object], expected: str | None) -> None:
    assert reduced_precision(replace(FULL, **changed)) == expected  # type: ignore[arg-type]


def test_the_bound_of_any_kernels_gives_way_to_what_the_precision_explains() -> None:
    half = replace(FULL, precision="float16")
    assert difference_allowed_here({"*": 0.001}, FULL, [LOGITS], [False]) == 0.001
    assert difference_allowed_here({"*": 0.001}, half, [LOGITS], [False]) == pytest.approx(0.05 * 8)
    assert difference_allowed_here({"*": 0.5}, half, [LOGITS], [False]) == 0.5
    assert difference_allowed_here({"*": 0.01}, half, [np.zeros((1, 4), np.int32)], [True]) == 0.02


def test_a_bound_for_these_very_kernels_holds() -> None:
    half = replace(FULL, precision="float16")
    assert difference_allowed_here({"torch/cuda/x86_64": 0.003, "*": 1.0}, half, [LOGITS], [False]) == 0.003


def test_integers_have_no_such_excuse() -> None:
    half = replace(FULL, precision="float16")
    assert difference_allowed_here({"*": 1.0}, half, [np.array([[100]], np.int8)], [False]) == 1.0


def test_equal_infinities_and_nans_are_equal_and_others_infinitely_apart() -> None:
    inf, nan = float("inf"), float("nan")
    expected = np.array([nan, inf, -inf, 1.0, inf, nan, 2.0, 1.0], np.float32)
    found = np.array([nan, inf, -inf, 1.5, -inf, 1.0, nan, inf], np.float32)
    assert values_apart(expected, found).tolist() == [0, 0, 0, 0.5, inf, inf, inf, inf]
    assert output_difference(expected[:4], found[:4], class_map=False) == 0.5
    assert output_difference(expected, found, class_map=False) == inf


def test_tolerances_are_shares_of_finite_values() -> None:
    assert largest_magnitude(np.array([np.nan, -np.inf, -3.0, 2.0], np.float32)) == 3.0
    assert largest_magnitude(np.array([np.nan, np.inf], np.float32)) == 0.0
    assert largest_magnitude(np.zeros(0, np.float32)) == 0.0
