"""`edge recipes` lists what ships, and prints one as it is."""

import json
from pathlib import Path

import pytest

from edge.cli.main import main

RECIPES = Path(__file__).parents[3] / "edge" / "recipes"


def test_the_list_and_one_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert all(path.stem in out for path in RECIPES.glob("*.toml"))
    assert main(["recipes", "fast_scnn_camvid"]) == 0
    assert capsys.readouterr().out == (RECIPES / "fast_scnn_camvid.toml").read_text()


def test_json_has_one_object_per_recipe_and_the_text_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {tuple(row) for row in rows} == {("name", "model", "data", "description", "path")}
    assert main(["recipes", "mobilenet_v1_generated", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == (RECIPES / "mobilenet_v1_generated.toml").read_text()


def test_an_unknown_recipe_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "fast_scn_camvid"]) == 2
    assert capsys.readouterr().err == (
        "edge recipes: unknown recipe 'fast_scn_camvid'; did you mean 'fast_scnn_camvid'?\n"
    )
