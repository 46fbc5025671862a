"""The recipes that ship with the product, by name."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from edge.errors import RecipeError, unknown_name
from edge.files.bounded_file import exists, is_dir
from edge.recipe.recipe import Data, Recipe
from edge.recipe.recipe_file import read_recipe

SUFFIX = ".toml"
_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")


@dataclass(frozen=True, kw_only=True)
class ShippedRecipe:
    """One recipe: its name, its network, the data it needs, the first line of its comment, and where it lies."""

    name: str
    model: str
    data: str
    description: str
    path: Path


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path at which something is, else the name of a shipped one, with `.toml` or without.

    Raises:
        RecipeError: neither; with the nearest name.
    """
    path = Path(name)
    if (exists(path) and not is_dir(path)) or path.name != str(name):
        return path  # whoever reads it says what is wrong with it
    shipped = _files()
    stem = path.name.removesuffix(SUFFIX)
    if stem in shipped:
        return shipped[stem]
    if is_dir(path):
        raise RecipeError(f"{path}: is a folder, not a recipe; to train on images in it: --images {path}")
    raise RecipeError(f"{path}: no such recipe file, and {unknown_name('recipe', stem, shipped)} (edge recipes)")


def shipped_recipes() -> list[ShippedRecipe]:
    """Every shipped recipe, in the order of names."""
    return [_described(name, path) for name, path in _files().items()]


def _files() -> dict[str, Path]:
    folder = Path(str(files("edge").joinpath("recipes")))
    return {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _described(name: str, path: Path) -> ShippedRecipe:
    recipe = read_recipe(path)
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return ShippedRecipe(
        name=name,
        model=recipe.model.name,
        data=_needed(recipe),
        description=first.removeprefix("#").strip(),
        path=path,
    )


def _needed(recipe: Recipe) -> str:
    variables = sorted(set(_VARIABLE.findall(_sources(recipe.data))))
    if not variables:
        return "none, it is drawn"
    return f"--data-root FOLDER, or ${', $'.join(variables)}"


def _sources(data: Data) -> str:
    return data.model_dump_json(include={"root", "train", "val"})
