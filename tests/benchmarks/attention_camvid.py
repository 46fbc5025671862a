"""Fast-SCNN on CamVid, plain, with GCT and with CBAM: from one checkpoint, trained alike for a short time, in INT8.

    python -m tests.benchmarks.attention_camvid CHECKPOINT --data-root FOLDER_OF_CAMVID -o runs/attention

Each begins with CHECKPOINT's weights (its attention as its paper starts it), trains float epochs at half of the
recipe's rate, then with quantization, is converted, evaluated and verified, and gives a row of a table. A command that
was interrupted goes on where it stopped.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edge.artifact.manifest import Artifact, open_artifact
from edge.models.attention import ATTENTION
from edge.training.float_phase import FLOAT_NAME
from edge.training.loop import STATE_NAME
from edge.training.qat_phase import QAT_NAME

RECIPE = "fast_scnn_camvid"
VERIFIED_IMAGES = 8
METRICS = ("miou", "boundary_miou")


def edge(*arguments: str | Path) -> str:
    """Run a command of the product; its standard output."""
    command = [str(Path(sys.executable).with_name("edge")), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def settings(checkpoint: Path, attention: str, epochs: int, qat_epochs: int) -> dict[str, Any]:
    """What differs from the recipe: where it starts, how long and how fast it trains."""
    return {
        "model.attention": attention,
        "train.init": checkpoint.resolve(),
        "train.epochs": epochs,
        "train.learning_rate": 1e-3,
        "train.warmup_epochs": 1,
        "train.ema_decay": 0.98,
        "train.eval_epochs": epochs,
        "qat.epochs": qat_epochs,
        "qat.freeze_ranges_epoch": qat_epochs - 1,
        "qat.eval_epochs": qat_epochs,
    }


def train(folder: Path, data_root: Path, changes: dict[str, Any]) -> None:
    """Both phases in a folder, from the beginning or from where they were interrupted."""
    given = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    resume = ["--resume"] if (folder / STATE_NAME).exists() else []
    edge("train", RECIPE, "-o", folder, "--data-root", data_root, "--threads", "1", *resume, *given)


def artifact(run: Path) -> Artifact:
    """The INT8 artifact of a run, written and verified once."""
    folder = run.with_name(f"{run.name}_int8")
    if not folder.exists():
        edge("convert", run / QAT_NAME, "-o", folder)
    if not open_artifact(folder).manifest.fidelity:
        split = ("--split", f"recipe:{run}:val", "-n", str(VERIFIED_IMAGES))
        edge("verify", folder, *split, "--engine", "litert", "--accuracy-floor", "0.9", "--no-rank", "--record")
    return open_artifact(folder)


def evaluate(subject: Path, run: Path) -> list[float]:
    """Mean IoU and mean Boundary IoU in percent on the whole validation split."""
    found = json.loads(edge("eval", subject, "--split", f"recipe:{run}:val", "--json"))
    return [100 * found[name] for name in METRICS]


def row(attention: str, run: Path) -> Sequence[str]:
    """Name, multiply-adds, float and INT8 accuracy, and values that differ from the simulation."""
    made = artifact(run)
    (measured,) = (entry for entry in made.manifest.fidelity if entry.kernels.startswith("xnnpack"))
    accuracy = [f"{value:.1f}" for subject in (run / FLOAT_NAME, made.folder) for value in evaluate(subject, run)]
    cost = f"{made.manifest.cost.multiply_adds / 1e6:.1f} M"
    return attention, cost, *accuracy, f"{measured.differing} of {measured.values:,}"


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True))
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of CamVid.")
@click.option("-o", "folder", type=click.Path(path_type=Path), required=True, help="Where the runs lie.")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Float.")
@click.option("--qat-epochs", type=click.IntRange(1), default=2, show_default=True)
def main(checkpoint: Path, data_root: Path, folder: Path, epochs: int, qat_epochs: int) -> None:
    """Print a Markdown table: a row per kind of attention, when it is made."""
    click.echo(
        "| attention | multiply-adds | float mIoU | Boundary IoU | INT8 mIoU | Boundary IoU | values differing |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- |")
    for attention in ATTENTION:
        run = folder / attention
        train(run, data_root, settings(checkpoint, attention, epochs, qat_epochs))
        click.echo(f"| {' | '.join(row(attention, run))} |")


if __name__ == "__main__":
    main()
