"""The table of which attention pays: no row is missing, what it says follows from the figures, the page holds it."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.models.attention import ATTENTION
from edge.recipe.recipe_file import read_recipe
from edge.recipe.shipped_recipes import find_recipe
from tests.benchmarks import attention
from tests.benchmarks.attention_rows import AGAIN, PLAIN, SEEDS, SETS, rows
from tests.benchmarks.attention_table import COLUMNS, MISSING, PAYS, markdown, noise, standard_error
from tests.benchmarks.methods_rows import Row
from tests.benchmarks.own_photographs import FOLDS
from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "attention.md"
FOUND = {
    "set": "objects", "attention": "none", "metric": "top1", "images": 400, "float": 0.5, "int8": 0.5, "agreement": 1,
    "differing": 0, "values": 3200, "multiply_adds": 2_000_000, "unruled": [], "parameters": 1234,
    "int8_file": {"size_bytes": 2048, "p50_ns": 1_000_000, "clean": True}, "instructions": 3_000_000,
    "cpu_seconds": 60.0,
}  # fmt: skip


def arguments(row: Row, folder: Path) -> dict[str, Any]:
    """Of the network that a row trains; the recipe of a photographs' fold is not written yet, its changes are plain."""
    path = find_recipe("mobilenet_v1_generated") if str(folder) in row.recipe else find_recipe(row.recipe)
    return read_recipe(path, overrides=row.changes).model.arguments


def test_every_set_has_every_module_and_rows_of_a_set_differ_by_nothing_else(test_data: Path, tmp_path: Path) -> None:
    cells = rows(test_data, tmp_path)
    assert cells.keys() - {(name, AGAIN) for name in SETS} == {(name, kind) for name in SETS for kind in ATTENTION}
    every = [row for parts in cells.values() for row in parts]
    assert len({row.folder for row in every}) == len(every)
    for (name, kind), parts in cells.items():
        assert len(parts) == (FOLDS if name == "photographs" else 1)
        for row, plain in zip(parts, cells[name, PLAIN], strict=True):
            assert arguments(row, tmp_path).get("attention", PLAIN) == (PLAIN if kind == AGAIN else kind)
            assert (row.split, row.recipe) == (plain.split, plain.recipe)
            apart = {*SEEDS} if kind == AGAIN else {f"model.attention={PLAIN}", f"model.attention={kind}"}
            assert {*row.changes} ^ {*plain.changes} <= apart


def test_folds_are_pooled_by_their_images() -> None:
    folds = [{**FOUND, "images": 28, "float": 0.5, "int8": 0.25}, {**FOUND, "images": 84, "float": 1.0, "int8": 0.25}]
    row = attention.pooled("photographs", "gct", folds)
    assert (row["images"], row["float"], row["int8"], row["values"]) == (112, 0.875, 0.25, 6400)
    assert (row["set"], row["attention"], row["cpu_seconds"], row["instructions"]) == ("photographs", "gct", 120.0, 3e6)


def test_noise_is_two_standard_errors_of_a_difference_or_twice_the_distance_of_two_trainings() -> None:
    assert standard_error(0.5, 400) == 0.025
    assert noise(FOUND, None) == pytest.approx(2 * 2**0.5 * 0.025)
    assert noise(FOUND, {**FOUND, "float": 0.4}) == pytest.approx(0.2)
    assert noise({**FOUND, "metric": "miou"}, None) is None  # frames of a video are not independent


def test_the_tables_say_what_a_module_pays() -> None:
    gated = {**FOUND, "attention": "gct", "int8": 0.6, "instructions": 6_000_000}
    gated["int8_file"] = {"size_bytes": 3072, "p50_ns": 1_500_000, "clean": False}
    again = {**FOUND, "attention": AGAIN, "int8": 0.49}
    lines = markdown([FOUND, gated, again])
    assert lines[3].startswith(
        "| objects | gct | 400 | 50.0 ± 2.5 | 60.0 ± 2.4 | +10.0 |  |  | 0 of 3,200 | 2.0 | 1,234 |"
    )
    assert lines[3].endswith("| 3 | ~1.50 | 6.0 | 60 |")
    assert lines[8] == "| objects | gct | +10.0 | 7.1 | +10.0 | 1.50 | 2.00 | better |"
    assert all(line.count("|") == len(COLUMNS) + 1 for line in lines[:5])
    assert all(line.count("|") == len(PAYS) + 1 for line in lines[6:9])
    assert "scenes none" in named(lines[10]) and "objects gct" not in named(lines[10]) and len(lines) == 11
    assert markdown([FOUND, {**gated, "int8": 0.55}])[7].endswith("| within noise |")
    assert markdown([FOUND, {**gated, "int8": 0.4}])[7].endswith("| worse |")
    every = [{**FOUND, "set": name, "attention": kind} for name in SETS for kind in ATTENTION]
    assert len(markdown(every)) == len(every) + len(SETS) * (len(ATTENTION) - 1) + 5


def named(line: str) -> list[str]:
    """The rows of a line that says which are missing."""
    return line.removeprefix(MISSING).removesuffix(".").split(", ")


def test_the_page_holds_both_tables_row_by_row() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert list(COLUMNS) in cells and list(PAYS) in cells
    measured = [row for row in cells if len(row) == len(COLUMNS) and row[0] in SETS]
    missing = [tuple(text.split()) for line in lines if line.startswith(MISSING) for text in named(line)]
    told = [(row[0], row[1]) for row in measured if row[1] != AGAIN]
    assert sorted([*told, *missing]) == sorted((name, kind) for name in SETS for kind in ATTENTION)
    pays = {(row[0], row[1]): row for row in cells if len(row) == len(PAYS) and row[0] in SETS}
    assert pays.keys() == {(name, kind) for name, kind in told if kind != PLAIN and (name, PLAIN) in told}
    shares = {(row[0], row[1]): float(row[4].split()[0]) for row in measured}
    for (name, kind), row in pays.items():
        gain = float(row[2])
        assert gain == pytest.approx(shares[name, kind] - shares[name, "none"], abs=0.11)
        assert bool(row[3]) == bool(row[-1])  # without a noise nothing is said
        if row[3] and abs(abs(gain) - (width := float(row[3]))) > 0.1:  # rounded
            assert row[-1] == ("within noise" if abs(gain) <= width else "better" if gain > 0 else "worse")


def test_an_unknown_row_is_refused_with_the_nearest(test_data: Path, tmp_path: Path) -> None:
    refused = CliRunner().invoke(attention.command, [str(test_data), "-o", str(tmp_path), "--only", "mobilenet_v2 gtc"])
    assert refused.exit_code == 1 and "did you mean 'mobilenet_v2 gct'" in refused.output
