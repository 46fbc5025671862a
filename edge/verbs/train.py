"""`edge train`: a recipe's float phase, then its quantization-aware phase."""

from pathlib import Path
from typing import Literal, cast

import click

from edge.recipe_file import read_recipe
from edge.terminal import say
from edge.training.progress import bars
from edge.training.run import Request, train
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
    request = Request(
        recipe=read_recipe(recipe, overrides=overrides, data_root=data_root),
        folder=folder,
        phases=cast(Literal["all", "float", "qat"], phase),
        resume=resume,
        init=init,
        threads=threads,
    )
    with bars() as reporter:
        position = train(request, reporter)
    say(str(folder / f"{position.phase}.safetensors"))
