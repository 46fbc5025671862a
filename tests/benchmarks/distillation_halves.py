"""What INT8 costs a classifier that learned from its float network alone, on images that neither rounding nor QAT saw.

    python -m tests.benchmarks.distillation_halves edge/recipes/mobilenet_v1_025_distillation.toml -o runs/halves

The recipe's training split is cut in two (every other image). QAT runs on one half without its labels and the INT8
model is tested on the other, then the halves are swapped and the answers pooled over all images; once per seed. The
integer simulation and the TFLite file (LiteRT) both answer, and must give the same integers.
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.engines.engine import open_session
from edge.errors import EdgeError, UsageError
from edge.evaluation.classification import agreement, ranks
from edge.execution.integer import IntegerSimulation
from edge.files import atomic
from edge.graph.graph import Graph
from edge.quantization.qat.freeze import freeze
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import read_recipe, split_arguments
from edge.training.batches import Normalizer
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.float_phase import FLOAT_NAME
from edge.training.progress import Silent
from edge.training.qat_phase import QAT_NAME
from edge.training.run import Request, train
from edge.vision.pixels import apply_table, quantize_table, resize

BATCH_SIZE = 25
Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One seed, pooled over both halves. Shares in [0, 1]; `simulation_differences` counts output values."""

    seed: int
    images: int
    float_top1: float
    int8_top1: float
    agreement: float
    simulation_differences: int
    seconds: float


def halves(split: Split) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Every other image: even and odd places."""
    return tuple(range(0, len(split), 2)), tuple(range(1, len(split), 2))


def measure(recipe: Recipe, split: Split, seed: int, folder: Path) -> Row:
    """Both halves with one seed.

    Args:
        split: labelled; its labels are used for scoring only.
    """
    started = time.monotonic()
    float_scores, int8_scores, labels = [], [], []
    differences = 0
    first, second = halves(split)
    for number, (learn, test) in enumerate(((first, second), (second, first))):
        run = folder / f"seed{seed}_half{number}"
        graph = trained(recipe, split.subset(learn), seed, run)
        unseen = split.subset(test)
        pixels = np.stack([resize(unseen.image(index), recipe.preprocess) for index in range(len(unseen))])
        simulated, from_file = simulate(graph, recipe, pixels), run_file(graph, recipe, pixels)
        differences += int((simulated != from_file).sum())
        int8_scores.append(from_file)
        float_scores.append(run_float(run / FLOAT_NAME, recipe, pixels))
        labels.append(np.array([unseen.label(index) for index in range(len(unseen))]))
    truth, exact, integers = np.concatenate(labels), np.concatenate(float_scores), np.concatenate(int8_scores)
    return Row(
        seed=seed,
        images=len(truth),
        float_top1=float((ranks(exact, truth) < 1).mean()),
        int8_top1=float((ranks(integers, truth) < 1).mean()),
        agreement=agreement(exact, integers),
        simulation_differences=differences,
        seconds=round(time.monotonic() - started, 1),
    )


def trained(recipe: Recipe, learn: Split, seed: int, folder: Path) -> Graph:
    """The int8 graph after the recipe's phases on a part of its split, in a new folder."""
    assert recipe.qat is not None  # refused by `command`
    listing = folder.with_suffix(".tsv")
    lines = [f"{learn.name(index)}\t{learn.label(index)}\n" for index in range(len(learn))]
    atomic.write_text(listing, "".join(lines))
    source = recipe.data.train.model_copy(update={"labels": str(listing)})
    changed = {
        "qat": recipe.qat.model_copy(update={"seed": seed}),
        "data": recipe.data.model_copy(update={"train": source}),
    }
    request = Request(recipe=recipe.model_copy(update=changed), folder=folder, threads=torch.get_num_threads())
    train(request, Silent())
    return freeze(restore_module(read_checkpoint(folder / QAT_NAME)))


def simulate(graph: Graph, recipe: Recipe, pixels: Pixels) -> Scores:
    """int8 (n, classes) of the integer simulation."""
    quantization = graph.tensors[graph.inputs[0]].quantization
    assert quantization is not None  # the graph is frozen
    table = quantize_table(recipe.preprocess, float(quantization.scale[0]), int(quantization.zero_point[0]), "int8")
    images = np.ascontiguousarray(apply_table(pixels, table).transpose(0, 3, 1, 2))
    simulation = IntegerSimulation(graph)
    return in_batches(images, lambda batch: simulation.run([batch])[0])


def run_file(graph: Graph, recipe: Recipe, pixels: Pixels) -> Scores:
    """int8 (n, classes) of the TFLite file, by LiteRT with XNNPACK."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(tflite_bytes(to_nhwc(graph)))
        session = open_session("litert", path)
        if session.info.kernels != "xnnpack":
            raise EdgeError(f"LiteRT took its {session.info.kernels} kernels, xnnpack is needed")
        port = session.inputs[0]
        assert port.scale is not None and port.zero_point is not None  # the file is int8
        images = apply_table(pixels, quantize_table(recipe.preprocess, port.scale, port.zero_point, "int8"))
        return np.concatenate([session.run([image[None]])[0].copy() for image in images])


@torch.no_grad()
def run_float(path: Path, recipe: Recipe, pixels: Pixels) -> Scores:
    """float32 (n, classes) of the float checkpoint."""
    model, normalize = restore_module(read_checkpoint(path)), Normalizer(recipe.preprocess)
    return in_batches(pixels, lambda batch: model(normalize(torch.from_numpy(batch))).numpy())


def in_batches(values: npt.NDArray[Any], run: Callable[[npt.NDArray[Any]], Scores]) -> Scores:
    """Answers of `run`, a few images at a time."""
    return np.concatenate([run(values[start : start + BATCH_SIZE]) for start in range(0, len(values), BATCH_SIZE)])


@click.command()
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("-o", "--out", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the runs.")
@click.option("--seeds", default="1,2,3", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe: qat.epochs=3.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per seed.")
def command(recipe_path: Path, folder: Path, seeds: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train on one half, test on the other, swap, pool; once per seed."""
    torch.set_num_threads(1)
    recipe = read_recipe(recipe_path, overrides=overrides)
    if recipe.qat is None:
        raise UsageError(f"{recipe_path}: has no [qat]")
    if recipe.data.train.labels is None:
        raise UsageError(f"{recipe_path}: [data.train] needs images and a label file, which is cut in two")
    folder.mkdir(parents=True, exist_ok=True)
    split = open_split(**split_arguments(recipe.data.train, recipe.data.root))
    if not as_json:
        click.echo("seed  images  float top-1  INT8 top-1  agreement  differing values  seconds")
    for seed in (int(text) for text in seeds.split(",")):
        row = measure(recipe, split, seed, folder)
        if as_json:
            click.echo(json.dumps(asdict(row)))
            continue
        click.echo(
            f"{row.seed:4}  {row.images:6}  {row.float_top1:11.1%}  {row.int8_top1:10.1%}  {row.agreement:9.1%}"
            f"  {row.simulation_differences:16}  {row.seconds:7.0f}"
        )


if __name__ == "__main__":
    command()
