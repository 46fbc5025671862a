"""The table of every network and option: that none is missing, and that a row is what it says."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.models.attention import ATTENTION
from edge.models.registry import MODELS
from edge.recipe.recipe_file import read_recipe
from edge.recipe.shipped_recipes import find_recipe
from tests.benchmarks import methods, methods_row
from tests.benchmarks.methods_rows import ROWS, Row
from tests.benchmarks.methods_table import COLUMNS, markdown

SMALL = ("model.resolution=32", "preprocess.height=32", "preprocess.width=32", "data.val=none")
BRIEF = ("data.train=generated:classify:train:32", "train.epochs=1", "qat.epochs=1", "train.batch_size=8")
TINY = Row(
    name="tiny net",
    recipe="mobilenet_v1_generated",
    split="generated:classify:val:16",
    changes=(*SMALL, *BRIEF, "qat.batch_size=8", "train.ema_decay=0"),
)


def test_every_network_but_detectors_stands_there_plain_and_with_every_attention_module() -> None:
    found = set()
    for row in ROWS:
        model = read_recipe(find_recipe(row.recipe), overrides=row.changes).model
        found.add((model.name, model.arguments.get("attention", "none")))
        assert row.name.split()[0] == model.name
    asked = [name for name in MODELS if "ssdlite" not in name]
    taken = [name for name in asked if name != "rednet"]  # which is made of involutions
    assert found == {("rednet", "none"), *((name, attention) for name in taken for attention in ATTENTION)}
    assert len({row.folder for row in ROWS}) == len(ROWS)


def test_every_segmenter_stands_there_with_a_point_head() -> None:
    recipes = [read_recipe(find_recipe(row.recipe), overrides=row.changes) for row in ROWS]
    found = {recipe.model.name for recipe in recipes if recipe.model.arguments.get("point_head")}
    assert found == {"fast_scnn", "deeplab_mobilenet_v1", "deeplab_mobilenet_v2"}


@pytest.mark.parametrize("network", [name for name in MODELS if name.startswith("deeplab")])
def test_deeplab_stands_there_plain_with_its_pyramid_and_at_stride_8(network: str) -> None:
    shapes = set()
    for row in ROWS:
        arguments = read_recipe(find_recipe(row.recipe), overrides=row.changes).model.arguments
        if row.name.startswith(network) and arguments.get("attention", "none") == "none":
            shapes.add((arguments["output_stride"], arguments["pyramid"]))
    assert shapes == {(16, False), (16, True), (8, False)}


@pytest.mark.unhurried
def test_a_row_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods_row, "LARGEST_DROP", -1.0)  # so that the layers are ranked whatever comes out
    folder = tmp_path / TINY.folder
    found = methods_row.measure(TINY, folder, None, None)
    assert (found["differing"], found["values"], found["images"]) == (0, 16 * 8, 16)
    assert found["metric"] == "top1" and 0 <= found["int8"] <= 1 and 0 <= found["float"] <= 1
    assert len(found["layers"]) == 3 and all(entry["share"] >= 0 for entry in found["layers"])
    (folder / "run" / "qat.safetensors").unlink()  # what would be made again would need it
    assert methods_row.measure(TINY, folder, None, None) == found
    monkeypatch.setattr(methods, "ROWS", (TINY,))
    printed = CliRunner().invoke(methods.command, ["-o", str(tmp_path), "--no-instructions"])
    assert printed.exit_code == 0 and "| tiny net | top1 |" in printed.output
    (row,) = json.loads((tmp_path / "table.json").read_text())
    assert row["float_file"]["size_bytes"] > row["int8_file"]["size_bytes"] > 0 < row["int8_file"]["p50_ns"]


def test_the_table_names_the_layers_of_a_row_that_lost_too_much() -> None:
    row = {
        "name": "net", "metric": "miou", "float": 0.5, "int8": 0.4, "boundary_float": 0.25, "boundary_int8": 0.2,
        "differing": 0, "values": 1000, "multiply_adds": 2_000_000, "unruled": [], "parameters": 1234,
        "float_file": {"size_bytes": 4096, "p50_ns": 2_000_000, "clean": True},
        "int8_file": {"size_bytes": 1024, "p50_ns": 1_000_000, "clean": False}, "instructions": 3_000_000,
        "cpu_seconds": 60.0, "layers": [{"layer": "stem", "share": 0.7, "why": {"reason": "outliers"}}],
    }  # fmt: skip
    head, rule, line, empty, told = markdown([row])
    assert head.count("|") == rule.count("|") == line.count("|") == len(COLUMNS) + 1
    expected = "| net | miou | 50.0 | 40.0 | 25.0 | 20.0 | 0 of 1,000 | 2.0 | 1,234 | 4 | 1 | 2.00 | ~1.00 | 3.0 | 60 |"
    assert (line, empty) == (expected, "")
    assert told == "- net: 10.0 points; `stem` (70% of the error alone): outliers"
    assert len(markdown([{**row, "layers": []}])) == 3


def test_an_unknown_row_is_refused_with_the_nearest(tmp_path: Path) -> None:
    refused = CliRunner().invoke(methods.command, ["-o", str(tmp_path), "--only", "fast_scn gct"])
    assert refused.exit_code == 1 and "did you mean 'fast_scnn gct'" in refused.output
