"""edge verify: prove that an artifact computes what was trained."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.artifact import Artifact, open_artifact

if TYPE_CHECKING:
    from edge.quantization.verification.verify import Report, Request

MARKS = {True: "[green]passed[/]", False: "[red]FAILED[/]", None: "[dim]noted[/]"}


@click.command("verify", epilog="Example: edge verify runs/street/int8 --split generated:segment:val --samples 50")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--split", help="A pinned split file or KIND:...; the self-test's images if no data is named.")
@click.option("--images", type=click.Path(path_type=Path), help="A folder of images.")
@click.option("--labels", type=click.Path(path_type=Path), help="With --images: their label file.")
@click.option("--masks", type=click.Path(path_type=Path), help="With --images: the folder of their masks.")
@click.option("--classes", type=click.Path(path_type=Path), help="With --images: the file of class names.")
@click.option("-n", "--samples", type=click.IntRange(min=1), help="Look at the first N images only.")
@click.option("--engine", "engines", multiple=True, help="litert, tflite-runtime or onnxruntime; repeatable.")
@click.option("--kernels", help="Kernel set of the TFLite engine: xnnpack, builtin or reference.")
@click.option("--parent", type=click.Path(path_type=Path), help="The float parent: artifact, checkpoint or .onnx.")
@click.option("--max-differing", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--accuracy-drop", default=0.01, show_default=True, type=click.FloatRange(min=0, max=1))
@click.option("--operator-samples", default=2, show_default=True, type=click.IntRange(min=0), help="0: leave it out.")
@click.option("--record", "recorded", is_flag=True, help="Write the figures into the manifest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: every finding, then the verdict.")
def command(
    artifact: Path,
    split: str | None,
    images: Path | None,
    labels: Path | None,
    masks: Path | None,
    classes: Path | None,
    samples: int | None,
    engines: tuple[str, ...],
    kernels: str | None,
    parent: Path | None,
    max_differing: int,
    accuracy_drop: float,
    operator_samples: int,
    recorded: bool,
    as_json: bool,
) -> int:
    """Prove that ARTIFACT computes what was trained: exit code 0 is ship, 1 is do not ship.

    Compares the parameters of its files, their outputs with the integer simulation, every operator alone with
    identical inputs, and the accuracy with the float parent's.
    """
    from edge.data.model_classes import model_classes, require_model_classes
    from edge.data.open_split import open_split
    from edge.quantization.verification.record import record
    from edge.quantization.verification.verify import Request

    opened = open_artifact(artifact)
    named = any(value is not None for value in (split, images, labels, masks, classes))
    chosen = None
    if named:
        # A folder's labels are the model's own classes, unless a file says otherwise.
        names = classes or (model_classes(opened.manifest.labels) if images is not None else None)
        chosen = open_split(images=images, labels=labels, masks=masks, split=split, classes=names)
        require_model_classes(chosen, opened.manifest.labels.names, str(artifact))
    request = Request(
        split=chosen,
        samples=samples,
        engines=engines,
        kernels=kernels,
        parent=parent,
        operator_samples=operator_samples,
        max_differing=max_differing,
        accuracy_drop=accuracy_drop,
    )
    report = run_with_progress(opened, request)
    if recorded:
        record(opened, report)
    print_report(opened, report, as_json=as_json)
    return 0 if report.verdict.ship else 1


def verify_written(artifact: Artifact) -> int:
    """Verify what was just written on its self-test images: findings on standard error, the exit code returned."""
    from rich.console import Console

    from edge.quantization.verification.verify import Request

    report = run_with_progress(artifact, Request())
    console = Console(stderr=True)
    for finding in report.verdict.findings:
        console.print(f"{MARKS[finding.passed]} {finding.check}: {finding.subject}: {finding.detail}", soft_wrap=True)
    console.print(report.verdict.sentence, soft_wrap=True)
    return 0 if report.verdict.ship else 1


def run_with_progress(artifact: Artifact, request: "Request") -> "Report":
    """Verify with a progress line on standard error."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from edge.quantization.verification.verify import verify

    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed} steps"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"verify {artifact.manifest.name}", total=None)
        return verify(artifact, request, lambda count: progress.advance(task, count))


def print_report(artifact: Artifact, report: "Report", *, as_json: bool) -> None:
    """Print a table and the verdict, or JSON lines."""
    if as_json:
        for finding in report.verdict.findings:
            click.echo(
                _json(
                    {
                        "check": finding.check,
                        "subject": finding.subject,
                        "passed": finding.passed,
                        "detail": finding.detail,
                        **finding.data,
                    }
                )
            )
        click.echo(
            _json(
                {
                    "artifact": str(artifact.folder),
                    "ship": report.verdict.ship,
                    "verdict": report.verdict.sentence,
                    "images": report.images,
                    "origin": report.origin,
                    "parent": report.parent,
                }
            )
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{artifact.folder}: {report.images} images of {report.origin}"
        + (f", parent {report.parent}" if report.parent else ""),
        title_justify="left",
        show_lines=True,
    )
    for column in ("check", "subject", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in report.verdict.findings:
        table.add_row(finding.check, finding.subject, MARKS[finding.passed], finding.detail)
    console = Console()
    console.print(table)
    style = "bold green" if report.verdict.ship else "bold red"
    console.print(report.verdict.sentence, style=style, soft_wrap=True, markup=False)


def _json(record: dict[str, Any]) -> str:
    """JSON with null where a number is not finite: plain JSON has no word for it."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in record.items()
    }
    return json.dumps(plain)
