"""`edge train`: a float phase, then a quantization-aware phase, of a recipe or of one's own images."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from edge.cli.bounded_number import THREADS, Number, whole
from edge.cli.split_options import skip_damaged
from edge.errors import Interrupted, UsageError
from edge.files.bounded_file import exists, is_file
from edge.files.overwriting import refuse_inputs
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import expand, read_recipe
from edge.recipe.shipped_recipes import find_recipe
from edge.terminal import say, say_json, tell
from edge.training.own_recipe import HOLDOUT

if TYPE_CHECKING:
    from edge.training.state import Position

OWN = (
    *("labels", "masks", "boxes", "classes", "model"),
    *("val_images", "val_labels", "val_masks", "val_boxes", "holdout"),
)
"""Options of a training without a recipe."""


@click.command()
@click.argument("recipe", required=False)
@click.option(
    "-o", "--out", "--output", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the run."
)
@click.option(
    "--images", help="Your own images, in place of RECIPE: one folder per class, or with --labels, --masks or --boxes."
)
@click.option("--labels", help="With --images: class by image file.")
@click.option("--masks", help="With --images: the folder of their masks.")
@click.option("--boxes", help="With --images: their boxes: a COCO file, or a folder of Pascal VOC or YOLO files.")
@click.option("--classes", help="With --images: the file of class names.")
@click.option(
    "--model",
    help="With --images: a network of `edge models`; mobilenet_v2, for masks fast_scnn, for boxes "
    "mobilenet_v2_ssdlite.",
)
@click.option(
    "--init",
    help="With --images: weights to start from: .safetensors, .pth, .pt, or the folder of a run. "
    "With RECIPE: a float checkpoint in place of the float phase.",
)
@skip_damaged
@click.option("--val-images", help="With --images: the images to validate on; else a part is held out.")
@click.option("--val-labels", help="With --val-images: class by image file.")
@click.option("--val-masks", help="With --val-images: the folder of their masks.")
@click.option("--val-boxes", help="With --val-images: their boxes.")
@click.option("--holdout", type=Number(0, 1), help=f"With --images: the share held out; 0: none. [{HOLDOUT}]")
@click.option("--epochs", type=whole(0), help="Of the float phase: --set train.epochs=N.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder, exactly where it stopped.")
@click.option("--phase", type=click.Choice(["all", "float", "qat"]), default="all", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe: train.batch_size=8.")
@click.option("--data-root", help="With RECIPE: where the data lie, in place of its data.root.")
@click.option("--threads", type=THREADS, help="Processor threads; all cores if omitted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
def command(
    recipe: str | None,
    folder: Path,
    resume: bool,
    phase: str,
    init: str | None,
    overrides: tuple[str, ...],
    epochs: int | None,
    data_root: str | None,
    threads: int | None,
    as_json: bool,
    skip_damaged: bool,
    **own: Any,
) -> None:
    """Train in a folder: float weights first, then with quantization in the loop.

    Of your own images (--images), or of RECIPE: a file, or the name of one that ships (`edge recipes`). The whole
    recipe is written to the folder, and trains the same again.

    \b
    Examples:
        edge train --images photos -o runs/own --init mobilenet_v2.safetensors
        edge train --images photos --masks masks -o runs/street
        edge train --images photos --boxes boxes.json -o runs/cells --init mobilenet_v2.safetensors
        edge train mobilenet_v2_generated -o runs/mobilenet
    """
    changes = [*overrides, *(["data.skip_damaged=true"] if skip_damaged else [])]
    if epochs is not None:
        changes.append(f"train.epochs={epochs}")
    _refuse_both(recipe, data_root, **own)
    parent: Path | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()
    if own["images"] is not None:
        from edge.training.own_images import OwnImages, recipe_for

        wanted = OwnImages(**{key: value for key, value in own.items() if value is not None}, init=init)
        read, notes = recipe_for(wanted, changes)
    else:
        path = _recipe_path(recipe, folder, resume)
        read = read_recipe(path, overrides=changes, data_root=data_root)
        parent = None if init is None else Path(init)
    position = _train(read, path, folder, notes, resume=resume, phase=phase, parent=parent, threads=threads)
    result = folder / f"{position.phase}.safetensors"
    if as_json:
        from edge.training.result import kept_metrics

        ran = read.qat if position.phase == "qat" and read.qat is not None else read.train
        kept = kept_metrics(ran, position.history, position.phase)
        row = {"checkpoint": str(result), "phase": position.phase, "recipe": str(folder / "recipe.toml")}
        say_json({**row, "metrics": kept or None})
    else:
        say(str(result))
    _tell_next(read, folder, result)


def _refuse_both(recipe: str | None, data_root: str | None, **own: Any) -> None:
    images = own["images"]
    if images is not None:
        if recipe is not None:
            raise UsageError(f"--images is in place of a recipe; omit '{recipe}' or --images")
        if data_root is not None:
            raise UsageError("--data-root is of a recipe; --images says where the images are")
        if own["val_images"] is None and (own["val_labels"] or own["val_masks"] or own["val_boxes"]):
            raise UsageError("--val-labels, --val-masks and --val-boxes go with --val-images")
        if own["val_images"] is not None and own["holdout"] is not None:
            raise UsageError("--val-images is what is validated on; omit --holdout")
        return
    given = [f"--{name.replace('_', '-')}" for name in OWN if own[name] is not None]
    if given:
        raise UsageError(f"{', '.join(given)} without --images; a recipe says it itself: --set KEY=VALUE changes it")


def _recipe_path(recipe: str | None, folder: Path, resume: bool) -> Path:
    if recipe is not None:
        return find_recipe(recipe)
    if resume and is_file(folder / "recipe.toml"):
        return folder / "recipe.toml"
    raise UsageError("what to train: give --images FOLDER, or a recipe (`edge recipes` lists those that ship)")


def _train(
    recipe: Recipe,
    path: Path | None,
    folder: Path,
    notes: tuple[str, ...],
    *,
    resume: bool,
    phase: str,
    parent: Path | None,
    threads: int | None,
) -> "Position":
    from edge.training.loop import STATE_NAME
    from edge.training.progress import bars
    from edge.training.run import Request, train

    _refuse_inputs(folder, recipe, path, parent, resume=resume)
    request = Request(
        recipe=recipe,
        folder=folder,
        phases=cast(Literal["all", "float", "qat"], phase),
        resume=resume,
        init=parent,
        notes=notes,
        threads=threads,
    )
    try:
        with bars() as reporter:
            return train(request, reporter)
    except KeyboardInterrupt as error:
        if exists(folder / STATE_NAME):
            raise Interrupted(f"interrupted; edge train -o {shlex.quote(str(folder))} --resume goes on") from error
        raise


def _refuse_inputs(folder: Path, recipe: Recipe, path: Path | None, init: Path | None, *, resume: bool) -> None:
    """Refuse (UsageError) a new run one of whose files would take the place of what it is made from."""
    from edge.training.float_phase import FLOAT_NAME
    from edge.training.loop import STATE_NAME
    from edge.training.run import FILE_NAMES

    if resume or exists(folder / STATE_NAME):  # a run: what lies there it wrote itself; without one nothing is resumed
        return
    pretrained = None if init or recipe.train.init is None else expand(recipe.train.init, recipe.data.root)
    for name in FILE_NAMES:
        if init is None or name != FLOAT_NAME:  # not written then
            refuse_inputs("--out", folder / name, path, init, pretrained)


def _tell_next(recipe: Recipe, folder: Path, result: Path) -> None:
    """Where the weights lie and what to type next, on standard error."""
    last = folder / f"{result.stem}_last.safetensors"
    if is_file(last):
        tell(f"best weights by validation: {result}; those of the last epoch: {last}")
    kind = "int8" if result.stem == "qat" else "float"
    artifact = shlex.quote(f"{folder}_{kind}")
    tell(f"next: edge convert {shlex.quote(str(result))} -o {artifact}")
    if recipe.data.val is not None or recipe.data.holdout is not None:
        tell(f"then: edge verify {artifact} --split {shlex.quote(f'recipe:{folder}:val')}")
    tell(f"then: edge camera {artifact} --source 0")
