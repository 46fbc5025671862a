"""What it costs to take a part of an INT8 network out of 8 bits: over int16, or in float between two changes of format.

    python -m tests.benchmarks.mixed $EDGE_TEST_DATA

Two neighbouring layers of MobileNetV1 0.25 at a time, on photographs: bytes of the file, values that differ between
LiteRT and the simulation, processor time of a run, and nearness to the float network.
"""

import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch

from converters.convert.budgets import Budgets
from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.scheme import INT8_SCHEME, input_range
from edge.data.image_folder import image_folder
from edge.engines.engine import open_session
from edge.execution.integer import IntegerSimulation
from edge.files.leftovers import temporary_folder
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.spliced import spliced
from edge.quantization.ptq.state import Chosen
from edge.quantization.ptq.steps import EFFORTS
from edge.quantization.ptq.wider import wide_form, widened
from edge.vision.pixels import normalize_table
from tests.benchmarks.ptq import CALIBRATION, NETWORKS, Photographs, float_network, preprocess_of

COMPARED = 20
RUNS = 25
PLACES = (0, 1, 2, 12, 24)


def written(graph: Graph) -> bytes:
    """The TFLite file of an NCHW graph, through its ONNX file."""
    return tflite_bytes(to_nhwc(read_onnx(onnx_bytes(graph))))


def compared(graph: Graph, images: npt.NDArray[np.float32]) -> tuple[int, int, int, float]:
    """Bytes, values that differ, values in all, and the median processor time of a run in milliseconds."""
    data = written(graph)
    given = graph.tensors[graph.inputs[0]].quantization
    assert given is not None
    raw = np.clip(np.rint(images / given.scale[0]) + given.zero_point[0], -128, 127).astype(np.int8)
    expected = IntegerSimulation(graph).run([raw])[0]
    with temporary_folder() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        session = open_session("litert", path, threads=1)
        rows = [np.ascontiguousarray(image.transpose(1, 2, 0)[None]) for image in raw]
        found = np.concatenate([session.run([row])[0] for row in rows])
        seconds = []
        for _ in range(RUNS):
            started = time.process_time()
            session.run([rows[0]])
            seconds.append(time.process_time() - started)
    return len(data), int((found != expected).sum()), found.size, 1e3 * float(np.median(seconds))


def print_forms(
    plain: Graph, forms: dict[str, Graph], images: npt.NDArray[np.float32], score: Callable[..., str]
) -> None:
    """A row per place and form."""
    click.echo("| layers | form | bytes | values that differ | processor ms | SQNR dB |")
    click.echo("| --- | --- | ---: | ---: | ---: | ---: |")
    size, differing, values, milliseconds = compared(plain, images)
    click.echo(f"| none | int8 | {size:,} | {differing:,} of {values:,} | {milliseconds:.1f} | {score(plain)} |")
    for place in PLACES:
        names = [operator.name for operator in plain.operators[place : place + 2]]
        for form, inner in forms.items():
            mixed = spliced(plain, inner, names)
            size, differing, values, milliseconds = compared(mixed, images)
            click.echo(
                f"| `{names[0]}`, `{names[1]}` | {form} | {size:,} | {differing:,} of {values:,} | {milliseconds:.1f} "
                f"| {score(mixed)} |"
            )


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--network", type=click.Choice(list(NETWORKS)), default="mobilenet_v1_0.25_224", show_default=True)
@click.option("--effort", type=click.Choice(list(EFFORTS)), default="fast", show_default=True)
def main(data: Path, network: str, effort: str) -> None:
    """Print what each form costs, and what is chosen where nothing but the gain counts."""
    torch.set_num_threads(1)
    samples = data / "imagenet_samples"
    preprocess = preprocess_of(NETWORKS[network][2])
    photographs = Photographs(image_folder(samples / "dev", samples / "dev_labels.txt"), preprocess)
    graph = float_network(data, network)
    order = [int(index) for index in np.random.default_rng(0).permutation(len(photographs))]
    chosen = EFFORTS[effort]
    made = improve(
        graph, Chosen(images=photographs, indices=tuple(order[:CALIBRATION])), steps=chosen.steps,
        multiply_adds=chosen.multiply_adds, epochs=chosen.epochs, decides=True,
        input_range=input_range(normalize_table(preprocess), INT8_SCHEME),
    )  # fmt: skip
    plain, held_out = made.state.quantized, made.work.judge
    forms = {"int16": wide_form(made), "float": made.state.real}
    images = photographs.batch(order[CALIBRATION : CALIBRATION + COMPARED])
    print_forms(plain, forms, images, lambda mixed: f"{held_out.integers(mixed).sqnr_db:.2f}")
    mixed = widened(made, Budgets().costs(written))
    tested = Judge(graph, Chosen(images=photographs, indices=tuple(order[CALIBRATION:])), decides=True)
    click.echo("\n| layer | gain dB | SQNR dB | bytes | kept |\n| --- | ---: | ---: | ---: | --- |")
    for one in mixed.tried:
        told = "" if one.cost is None else f"{one.cost.size_bytes:,}"
        click.echo(
            f"| `{one.region.layer}` | {one.gain_db:+.2f} | {one.score.sqnr_db:.2f} | {told} | "
            f"{'yes' if one.refused is None else 'no'} |"
        )
    for name, judged in (("int8", plain), ("mixed", mixed.graph)):
        found = tested.integers(judged)
        size, differing, values, milliseconds = compared(judged, images)
        click.echo(
            f"{name}: {found.sqnr_db:.2f} dB, agreement {found.agreement:.2%} on {len(tested.images)} photographs; "
            f"{size:,} bytes, {milliseconds:.1f} processor ms, {differing} of {values:,} values differ"
        )


if __name__ == "__main__":
    main()
