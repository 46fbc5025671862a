"""`edge train`: a recipe's float phase, then its quantization-aware phase."""

from pathlib import Path
from typing import Literal, cast

import click

from edge.bounded_file import exists
from edge.overwriting import refuse_inputs
from edge.recipe import Recipe
from edge.recipe_file import expand, read_recipe
from edge.terminal import say
from edge.training.float_phase import FLOAT_NAME
from edge.training.loop import STATE_NAME
from edge.training.progress import bars
from edge.training.run import FILE_NAMES, Request, train
from edge.verbs.bounded_number import THREADS


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", "--output", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the run."
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder, exactly where it stopped.")
@click.option("--phase", type=click.Choice(["all", "float", "qat"]), default="all", show_default=True)
@click.option("--init", type=click.Path(path_type=Path), help="A float checkpoint in place of the float phase.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe: train.epochs=3.")
@click.option("--data-root", help="Where the data lie, in place of the recipe's data.root.")
@click.option("--threads", type=THREADS, help="Processor threads; all cores if left out.")
def command(
    recipe: Path,
    folder: Path,
    resume: bool,
    phase: str,
    init: Path | None,
    overrides: tuple[str, ...],
    data_root: str | None,
    threads: int | None,
) -> None:
    """Train RECIPE in a folder: float weights first, then with quantization in the loop.

    \b
    Example:
        edge train edge/recipes/mobilenet_v2_generated.toml -o runs/mobilenet
    """
    read = read_recipe(recipe, overrides=overrides, data_root=data_root)
    _refuse_inputs(folder, read, recipe, init)
    request = Request(
        recipe=read,
        folder=folder,
        phases=cast(Literal["all", "float", "qat"], phase),
        resume=resume,
        init=init,
        threads=threads,
    )
    with bars() as reporter:
        position = train(request, reporter)
    say(str(folder / f"{position.phase}.safetensors"))


def _refuse_inputs(folder: Path, recipe: Recipe, path: Path, init: Path | None) -> None:
    """Refuse (UsageError) a new run one of whose files would take the place of what it is made from."""
    if exists(folder / STATE_NAME):  # a run: what lies there it wrote itself
        return
    pretrained = None if init or recipe.train.init is None else expand(recipe.train.init, recipe.data.root)
    for name in FILE_NAMES:
        if init is None or name != FLOAT_NAME:  # not written then
            refuse_inputs("--out", folder / name, path, init, pretrained)
