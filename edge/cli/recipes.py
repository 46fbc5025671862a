"""`edge recipes`: the recipes that ship, which `edge train` takes by name."""

from dataclasses import asdict

import click
from rich import box
from rich.table import Table

from edge.errors import UsageError, unknown_name
from edge.recipe.shipped_recipes import ShippedRecipe, shipped_recipes
from edge.terminal import say, say_json, show_wide


@click.command(name="recipes")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line; with NAME its text too.")
def command(name: str | None, as_json: bool) -> None:
    """List the recipes that ship; with NAME, print that one.

    One's own images need none: `edge train --images FOLDER`.

    \b
    Example:
      edge recipes mobilenet_v2_generated
    """
    known = {recipe.name: recipe for recipe in shipped_recipes()}
    if name is None:
        if as_json:
            for recipe in known.values():
                say_json(_plain(recipe))
        else:
            show_wide(_table(list(known.values())))
        return
    stem = name.removesuffix(".toml")
    if stem not in known:
        raise UsageError(unknown_name("recipe", stem, known))
    text = known[stem].path.read_text(encoding="utf-8")
    if as_json:
        say_json({**_plain(known[stem]), "text": text})
    else:
        say(*text.splitlines())


def _table(recipes: list[ShippedRecipe]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for column in ("recipe", "model", "data", "description"):
        table.add_column(column, no_wrap=True)
    for recipe in recipes:
        table.add_row(recipe.name, recipe.model, recipe.data, recipe.description)
    return table


def _plain(recipe: ShippedRecipe) -> dict[str, str]:
    return {key: str(value) for key, value in asdict(recipe).items()}
