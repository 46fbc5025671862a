"""What each effort of post-training quantization makes of given float weights, on photographs it has not seen.

    python -m tests.benchmarks.ptq $EDGE_TEST_DATA --network mobilenet_v1_0.25_224 --effort default --draws 3

A draw takes 100 of the 500 development photographs, without labels, for calibration; the other 400 are tested on.
Answers are those of the integer simulation, which are the file's.
"""

import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch

from edge.artifact.scheme import INT8_SCHEME, Scheme, input_range
from edge.data.image_folder import image_folder
from edge.data.splits import Split
from edge.graph.graph import Graph
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge, Labels
from edge.quantization.ptq.state import Chosen, State
from edge.quantization.ptq.steps import EFFORTS, effort_for
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases
from edge.vision.pixels import in_layout, normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess

NETWORKS = {
    "mobilenet_v2_1.0_224": ("mobilenet_v2", 1.0, 224),
    "mobilenet_v1_1.0_224": ("mobilenet_v1", 1.0, 224),
    "mobilenet_v1_0.75_192": ("mobilenet_v1", 0.75, 192),
    "mobilenet_v1_0.25_224": ("mobilenet_v1", 0.25, 224),
}
CALIBRATION = 100


class Photographs:
    """All of them, resized once."""

    def __init__(self, split: Split, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        self._pixels = np.stack([resize(split.image(index), preprocess) for index in range(len(split))])

    def __len__(self) -> int:
        return len(self._pixels)

    def batch(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """As the network takes them."""
        return np.ascontiguousarray(in_layout(normalize(self._pixels[list(indices)], self._preprocess), "nchw"))


def preprocess_of(size: int) -> Preprocess:
    """The centre 87.5 %, x / 127.5 - 1."""
    return Preprocess(
        colour_order="rgb", height=size, width=size, interpolation="bilinear", fit="crop", crop_fraction=0.875,
        mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5),
    )  # fmt: skip


def float_network(data: Path, weights: str) -> Graph:
    """With the given weights."""
    name, width, size = NETWORKS[weights]
    module = build(name, classes=1000, width=width, resolution=size)
    load_pretrained(module, data / "models" / f"{weights}.safetensors")
    return with_biases(prepared(float_graph(module.eval(), torch.zeros(1, 3, size, size))))


def table_row(photographs: Photographs, labels: Labels, made: Improved, tested: tuple[int, ...], seconds: float) -> str:
    """What was made on the tested photographs, beside the float network and the bounds.

    The bounds are agreements of 8-bit activations alone, weights in float: with the first ranges, and with what the
    steps have made of the activations.
    """
    state, real = made.state, made.work.reference
    judge = Judge(real, Chosen(images=photographs, indices=tested), decides=True, labels=labels[list(tested)])
    total = judge.total(state)
    begun = made.work.observed(State(real=real, graph=real, parameters={}, scheme=state.scheme))
    bounds = [judge.activations(one).agreement for one in (begun, replace(state, graph=state.real))]
    kept = ", ".join(outcome.step for outcome in made.outcomes if outcome.kept)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = (judge.float_accuracy, total.accuracy, total.agreement, *bounds)
    return " | ".join(
        [f"| {kept or 'nearest'}", *(f"{value or 0:.2%}" for value in figures), f"{total.sqnr_db:.2f}",
         f"{seconds:.0f}", f"{peak_mib:.0f} |"]
    )  # fmt: skip


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--network", type=click.Choice(list(NETWORKS)), default="mobilenet_v1_0.25_224", show_default=True)
@click.option("--effort", type=click.Choice(list(EFFORTS)), default="default", show_default=True)
@click.option("--steps", help="These steps instead, in the order of their table.")
@click.option("--weight-scales", type=click.Choice(["channel", "tensor"]), default="channel", show_default=True)
@click.option("--draws", type=click.IntRange(1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def main(
    data: Path, network: str, effort: str, steps: str | None, weight_scales: str, draws: int, threads: int
) -> None:
    """Print a row per draw."""
    torch.set_num_threads(threads)
    samples = data / "imagenet_samples"
    preprocess = preprocess_of(NETWORKS[network][2])
    split = image_folder(samples / "dev", samples / "dev_labels.txt")
    photographs, labels = Photographs(split, preprocess), np.array([split.label(index) for index in range(len(split))])
    graph = float_network(data, network)
    scheme = Scheme(weight_granularity="per_tensor" if weight_scales == "tensor" else "per_channel")
    chosen = effort_for(effort, scheme)
    click.echo(
        "| kept | top-1, float | INT8 | agreement | of activations alone, plain | as made | SQNR, dB | "
        "processor seconds | peak MiB |"
    )
    click.echo("| --- |" + " ---: |" * 8)
    for seed in range(draws):
        order = [int(index) for index in np.random.default_rng(seed).permutation(len(photographs))]
        started = time.process_time()
        made = improve(
            graph, Chosen(images=photographs, indices=tuple(order[:CALIBRATION])),
            steps=chosen.steps if steps is None else steps.split(","), multiply_adds=chosen.multiply_adds,
            epochs=chosen.epochs, decides=True, scheme=scheme,
            input_range=input_range(normalize_table(preprocess), INT8_SCHEME), seed=seed,
        )  # fmt: skip
        seconds = time.process_time() - started
        click.echo(table_row(photographs, labels, made, tuple(order[CALIBRATION:]), seconds))


if __name__ == "__main__":
    main()
