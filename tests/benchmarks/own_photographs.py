"""What `edge train --images --init` makes of a few photographs, each judged by a network that did not see it.

    python -m tests.benchmarks.own_photographs $EDGE_TEST_DATA -o runs/own [--fold K] [--set KEY=VALUE]

The development images of ImageNet in six classes by their ImageNet index, in five folds, each with its share of every
class. One fold is tested on, the other four are what `edge train` is given, with its defaults. A linear probe, ridge
regression on the frozen features of the same four folds, is what has to be reached.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.files import atomic
from edge.models.pretrained import load_pretrained
from edge.quantization.qat.freeze import freeze
from edge.recipe.recipe import Recipe
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.float_phase import FLOAT_NAME
from edge.training.linear_probe import fit_probe
from edge.training.network import float_module
from edge.training.own_images import OwnImages, recipe_for
from edge.training.probe_head import check_probe, features_of
from edge.training.progress import bars
from edge.training.qat_phase import QAT_NAME
from edge.training.run import Request, train
from edge.vision.pixels import resize
from tests.benchmarks.distillation_halves import run_file, run_float

FOLDS = 5
# class -> ranges of ImageNet's indices, both ends included
CLASSES: dict[str, tuple[tuple[int, int], ...]] = {
    "bird": ((7, 24), (80, 100), (127, 146)),
    "reptile": ((25, 68),),
    "dog": ((151, 268),),
    "cat or bear": ((281, 297),),
    "insect": ((300, 326),),
    "fruit": ((948, 957),),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fold. Shares in [0, 1] of `images`, which nothing was trained on."""

    fold: int
    images: int
    linear_probe: float
    float_top1: float
    int8_top1: float
    differ: float
    seconds: float


def grouped(labels: str) -> list[tuple[str, str]]:
    """(image, class) of every line `image<TAB>index` that lies in a class."""
    found = []
    for line in labels.splitlines():
        image, index = line.split("\t")
        for name, ranges in CLASSES.items():
            if any(first <= int(index) <= last for first, last in ranges):
                found.append((image, name))
    return found


def folds(images: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """FOLDS parts, by class and name, dealt out in turn."""
    dealt = sorted(images, key=lambda image: (image[1], image[0]))
    return [dealt[number::FOLDS] for number in range(FOLDS)]


def write_lists(root: Path, fold: int, folder: Path) -> tuple[str, str, str]:
    """Write which images are given, which are tested, and the classes; the paths of the three files."""
    parts = folds(grouped((root / "imagenet_samples" / "dev_labels.txt").read_text(encoding="utf-8")))
    given = sorted(image for number, part in enumerate(parts) if number != fold for image in part)
    texts = {
        f"fold{fold}_train.tsv": "".join(f"{image}\t{cls}\n" for image, cls in given),
        f"fold{fold}_test.tsv": "".join(f"{image}\t{cls}\n" for image, cls in parts[fold]),
        "classes.txt": "".join(f"{name}\n" for name in CLASSES),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        atomic.write_text(folder / name, text)
    labels, tested, classes = (str(folder / name) for name in texts)
    return labels, tested, classes


def measure(root: Path, fold: int, folder: Path, overrides: tuple[str, ...]) -> Row:
    """Train on four folds and test on the fifth.

    Args:
        root: the folder of the test data. folder: of the run and of the two lists of images.
    """
    labels, tested, classes = write_lists(root, fold, folder)
    images = str(root / "imagenet_samples" / "dev")
    weights = str(root / "models" / "mobilenet_v2_1.0_224.safetensors")
    started = time.monotonic()
    recipe, notes = recipe_for(OwnImages(images=images, labels=labels, classes=classes, init=weights), list(overrides))
    run = folder / f"fold{fold}"
    with bars() as reporter:
        train(Request(recipe=recipe, folder=run, notes=notes, threads=torch.get_num_threads()), reporter)
    seconds = time.monotonic() - started
    test = open_split(images=images, labels=tested, classes=classes)
    truth = np.array([test.label(index) for index in range(len(test))])
    pixels = np.stack([resize(test.image(index), recipe.preprocess) for index in range(len(test))])
    exact = run_float(run / FLOAT_NAME, recipe, pixels).argmax(1)
    integers = run_file(freeze(restore_module(read_checkpoint(run / QAT_NAME))), recipe, pixels).argmax(1)
    probe = probe_predictions(recipe, weights, open_split(images=images, labels=labels, classes=classes), test)
    return Row(
        fold=fold,
        images=len(test),
        linear_probe=float((probe == truth).mean()),
        float_top1=float((exact == truth).mean()),
        int8_top1=float((integers == truth).mean()),
        differ=float((exact != integers).mean()),
        seconds=round(seconds, 1),
    )


def probe_predictions(recipe: Recipe, weights: str, given: Split, test: Split) -> npt.NDArray[Any]:
    """The classes that ridge regression on the frozen features of all given images answers to the test images."""
    model = float_module(recipe).eval()
    load_pretrained(model, weights, reinitialize_head=True)
    linear = check_probe(model, given)
    seen, unseen = (features_of(model, linear, split, range(len(split)), recipe.preprocess) for split in (given, test))
    labels = [given.label(index) for index in range(len(given))]
    probe = fit_probe(seen, labels, len(given.classes))
    return np.asarray((unseen @ probe.weight.T + probe.bias).argmax(axis=1))


@click.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("-o", "--out", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@click.option("--fold", type=click.IntRange(0, FOLDS - 1), help="This one alone.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe: train.epochs=3.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per fold.")
def command(root: Path, folder: Path, fold: int | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train and test fold by fold; print a row for each, and their mean."""
    torch.set_num_threads(2)
    rows = []
    if not as_json:
        click.echo("fold  images  linear probe  float top-1  INT8 top-1  INT8 differs  seconds")
    for number in range(FOLDS) if fold is None else (fold,):
        row = measure(root, number, folder, overrides)
        rows.append(row)
        click.echo(json.dumps(asdict(row)) if as_json else _line(str(row.fold), [row]))
    if not as_json and len(rows) > 1:
        click.echo(_line("all", rows))


def _line(name: str, rows: list[Row]) -> str:
    total = sum(row.images for row in rows)

    def mean(key: str) -> float:
        return float(sum(getattr(row, key) * row.images for row in rows) / total)

    seconds = sum(row.seconds for row in rows) / len(rows)
    return (
        f"{name:>4}  {total:6}  {mean('linear_probe'):12.1%}  {mean('float_top1'):11.1%}  {mean('int8_top1'):10.1%}"
        f"  {mean('differ'):12.1%}  {seconds:7.0f}"
    )


if __name__ == "__main__":
    command()
