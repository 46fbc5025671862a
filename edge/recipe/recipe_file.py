"""Reading a recipe from TOML, with overrides, and writing the resolved one back."""

import json
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.errors import FileError, RecipeError, UsageError
from edge.files.bounded_file import exists, read_text
from edge.recipe.recipe import Recipe, SplitSource
from edge.strict import first_problem
from edge.terminal import tell
from edge.vision.pixel_scale import pixel_scale_doubt

MAX_RECIPE_BYTES = 1024 * 1024
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BARE = re.compile(r"[A-Za-z_][\w:./-]*")


def read_recipe(path: str | Path, *, overrides: Sequence[str] = (), data_root: str | None = None) -> Recipe:
    """Read a recipe.

    Args:
        path: a TOML file of at most 1 MiB.
        overrides: `section.key=value` each, the value in TOML (a bare word is taken as text).
        data_root: replaces `data.root`.

    Raises:
        RecipeError: missing, not TOML, an unknown key, a missing key, a value out of range; names section and key.
        UsageError: an override that is not `section.key=value`.
    """
    source = Path(path)
    try:
        tree = tomllib.loads(read_text(source, most_bytes=MAX_RECIPE_BYTES, what="recipe"))
    except FileError as error:
        raise RecipeError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{source}: is not TOML: {error}") from error
    apply_overrides(tree, overrides)
    if data_root is not None:
        tree.setdefault("data", {})
        _table(tree, "data", "--data-root")["root"] = data_root
    recipe = parse_recipe(tree, str(source))
    if doubt := pixel_scale_doubt(recipe.preprocess.mean, recipe.preprocess.std):
        tell(f"note: {source}: [preprocess] {doubt}")
    return recipe


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> None:
    """Change a recipe's tree in place by `section.key=value` each; refuses (UsageError) what is none."""
    for override in overrides:
        _apply_override(tree, override)


def overrides_between(base: Recipe, wanted: Recipe) -> list[str]:
    """What `--set` says to make the wanted recipe of another; where the data lie (`data.root`) is left out."""
    told: list[str] = []
    old, new = (recipe.model_dump(mode="json", exclude_none=True) for recipe in (base, wanted))
    _add_differences(old, new, "", told)
    return [override for override in told if not override.startswith("data.root=")]


def parse_recipe(tree: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain data. Refuses (RecipeError) what does not hold, naming the first wrong key after `where`."""
    try:
        # By way of JSON: there, lists are tuples and whole numbers are floats, and nothing else is converted.
        return Recipe.model_validate_json(json.dumps(tree, allow_nan=True))
    except RecursionError as error:
        raise RecipeError(f"{where}: is nested too deep") from error
    except TypeError as error:
        raise RecipeError(f"{where}: dates and times have no place in a recipe") from error
    except ValidationError as error:
        raise RecipeError(f"{where}: {first_problem(error, Recipe, toml=True)}") from error
    except ValueError as error:  # a hexadecimal number of thousands of digits
        raise RecipeError(f"{where}: {error}") from error


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML text: every key that has a value, defaults included."""
    lines: list[str] = []
    _write_table(recipe.model_dump(mode="json", exclude_none=True), (), lines)
    return "\n".join(lines).strip() + "\n"


def split_arguments(source: SplitSource, root: str | None) -> dict[str, Any]:
    """The arguments of `open_split`, `${root}` and environment variables filled in.

    Raises:
        UsageError: a variable that is not set.
    """
    values = source.model_dump(exclude_none=True)
    return {name: expand(value, root) for name, value in values.items()}


def expand(text: str, root: str | None) -> str:
    """Fill in `${root}` and `${NAME}` of the environment.

    Refuses (UsageError) a variable that is not set, and one that names no file or folder.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "root" and root is not None:
            return expand(root, None)
        if name == "root":
            raise UsageError(f"'{text}' needs data.root: set it in the recipe or give --data-root FOLDER")
        if name not in os.environ:
            raise UsageError(f"'{text}' needs the environment variable {name}, which is not set; or give --data-root")
        value = os.environ[name]
        if not exists(value):  # what else it holds may be a secret: a recipe of somebody else's does not print it
            raise UsageError(f"'{text}': the environment variable {name} does not name a file or folder that is there")
        return value

    return _VARIABLE.sub(value, text)


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set '{override}': expected section.key=value, such as train.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    table = tree
    for part in parts[:-1]:
        table = _table(table, part, f"--set {key}")
    if value == "none" and parts[-1] not in ("class_weights", "positive_weights"):
        table.pop(parts[-1], None)
    else:
        table[parts[-1]] = value


def _add_differences(base: Mapping[str, Any], wanted: Mapping[str, Any], path: str, told: list[str]) -> None:
    for key in dict.fromkeys([*wanted, *base]):
        old, new = base.get(key), wanted.get(key)
        if isinstance(new, dict) and path != "data.":  # a split stands there whole: a name, or a table
            _add_differences(old if isinstance(old, dict) else {}, new, f"{path}{key}.", told)
        elif old != new:
            told.append(f"{path}{key}={'none' if new is None else _override_value(new)}")


def _override_value(value: Any) -> str:
    """A bare word where that is enough, and a list of numbers without spaces; a split is its name where it has one."""
    if isinstance(value, dict):
        if value.keys() == {"split"}:
            return _override_value(value["split"])
        return f"{{{', '.join(f'{key} = {_toml_value(one)}' for key, one in value.items())}}}"
    if isinstance(value, str) and _BARE.fullmatch(value) and value not in ("true", "false", "inf", "nan", "none"):
        return value
    text = _toml_value(value)
    return text if '"' in text else text.replace(", ", ",")


def _table(tree: dict[str, Any], name: str, option: str) -> dict[str, Any]:
    table = tree.setdefault(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{option}: '{name}' is a value, not a section")
    return table


def _write_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if path and (plain or not table):
        lines.append(f"\n[{'.'.join(path)}]")
    lines.extend(f"{key} = {_toml_value(value)}" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, dict):
            _write_table(value, (*path, key), lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)
