"""What calibration without data costs: images made from a checkpoint's batch-norm statistics beside real ones.

    python -m tests.benchmarks.data_free CHECKPOINT generated:classify:train generated:classify:val

Quantizes twice by each effort, from CALIBRATION and from made images of the same number, and prints how near the
integers' answers come to the float network's on TEST: those of the simulation, which are the file's.
"""

import time
from pathlib import Path

import click
import torch

from converters.convert.calibration import Calibration
from converters.convert.data_free import data_free_calibration
from converters.convert.export import export_checkpoint
from converters.convert.options import ConvertOptions
from converters.convert.steps import DECIDE_BY_SCORES, SplitImages
from edge.artifact.scheme import INT8_SCHEME, input_range
from edge.data.open_split import open_split
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.steps import EFFORTS
from edge.quantization.quantize_graph import with_biases
from edge.training.checkpoint import read_checkpoint
from edge.vision.pixels import normalize_table


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True))
@click.argument("calibration")
@click.argument("test")
@click.option("-n", "--samples", type=click.IntRange(10), default=40, show_default=True)
@click.option("--efforts", default="plain,fast", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(checkpoint: Path, calibration: str, test: str, samples: int, efforts: str, threads: int) -> None:
    """Print a row per effort and kind of images."""
    torch.set_num_threads(threads)
    opened = read_checkpoint(checkpoint)
    graph = with_biases(prepared(export_checkpoint(opened, head="logits")))
    preprocess, decides = opened.recipe.preprocess, DECIDE_BY_SCORES[opened.task]
    judge = Judge(graph, SplitImages(split=open_split(split=test), preprocess=preprocess), decides=decides)
    started = time.process_time()
    made = data_free_calibration(
        checkpoint, ConvertOptions(), images=samples, ranges="mse", seed=0, advance=lambda done, of: None
    )
    click.echo(f"{samples} images made in {time.process_time() - started:.0f} processor seconds")
    click.echo("| effort | images | SQNR dB | agreement |\n| --- | --- | ---: | ---: |")
    given = Calibration(split=open_split(split=calibration), images=samples)
    for effort in efforts.split(","):
        for told, chosen in (("real", given), ("made", made)):
            improved = improve(
                graph, SplitImages(split=chosen.chosen(), preprocess=chosen.read_by(preprocess)),
                steps=EFFORTS[effort].steps, multiply_adds=EFFORTS[effort].multiply_adds, epochs=EFFORTS[effort].epochs,
                decides=decides, input_range=input_range(normalize_table(preprocess), INT8_SCHEME),
            )  # fmt: skip
            score = judge.total(improved.state)
            agreement = "" if score.agreement is None else f"{score.agreement:.1%}"
            click.echo(f"| {effort} | {told} | {score.sqnr_db:.2f} | {agreement} |")


if __name__ == "__main__":
    main()
