"""Recipes that ship are found by name; a file that is there wins; a near name is suggested."""

from pathlib import Path

import pytest

from edge.errors import RecipeError
from edge.recipe.shipped_recipes import find_recipe, shipped_recipes

NAME = "mobilenet_v2_generated"


def test_a_recipe_is_found_by_its_name_and_a_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = find_recipe(NAME)
    assert shipped == find_recipe(f"{NAME}.toml") and shipped.is_file()
    (tmp_path / NAME).mkdir()  # a run's folder is no recipe
    assert find_recipe(NAME) == shipped
    (tmp_path / f"{NAME}.toml").write_text("")
    assert find_recipe(f"{NAME}.toml") == Path(f"{NAME}.toml")
    assert find_recipe("elsewhere/own.toml") == Path("elsewhere/own.toml")


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"no such recipe file, and unknown recipe .*; did you mean '{NAME}'"):
        find_recipe("mobilenet_v2_generate")


def test_every_shipped_recipe_says_what_it_is_and_needs() -> None:
    found = {recipe.name: recipe for recipe in shipped_recipes()}
    assert found.keys() == {path.stem for path in (Path(__file__).parents[3] / "edge" / "recipes").glob("*.toml")}
    assert all(recipe.description.endswith(".") and "\n" not in recipe.description for recipe in found.values())
    assert found[NAME].data == "none, it is drawn" and found[NAME].model == "mobilenet_v2"
    assert found["fast_scnn_camvid"].data == "--data-root FOLDER, or $EDGE_TEST_DATA"
