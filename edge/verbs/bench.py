"""edge bench: latency of artifacts on this machine."""

import shlex
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from device_bench.bench import bench
from device_bench.plan import Plan
from device_bench.record import append_records, read_records, record_line
from device_bench.subjects import open_subject
from device_bench.table import latency_table, print_table
from device_bench.targets.local import LocalTarget
from edge.errors import UsageError


@click.command(
    "bench", epilog="Example: edge bench artifacts/street_float artifacts/street_int8 --engine litert -o records.jsonl"
)
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--engine", "engines", multiple=True, help="litert, tflite-runtime, onnxruntime, torch or null; repeatable."
)
@click.option("--kernels", help="Kernel set of the engine; for litert xnnpack, builtin or reference.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--min-runs", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--min-seconds", default=2.0, show_default=True, type=click.FloatRange(min=0, max=86400))
@click.option("--max-runs", default=20_000, show_default=True, type=click.IntRange(min=1))
@click.option("--warmup-runs", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--warmup-seconds", default=0.5, show_default=True, type=click.FloatRange(min=0, max=3600))
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(min=1), help="Blocks of every subject.")
@click.option("--no-selftest", is_flag=True, help="Measure without proving that the runtime computes the right thing.")
@click.option(
    "-o", "--out", "--output", "out", type=click.Path(path_type=Path), help="Add the records to this JSON lines file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the records instead of a table, one JSON object per line.")
def command(
    artifacts: tuple[Path, ...],
    engines: tuple[str, ...],
    kernels: str | None,
    threads: int,
    min_runs: int,
    min_seconds: float,
    max_runs: int,
    warmup_runs: int,
    warmup_seconds: float,
    rounds: int,
    no_selftest: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure latency of ARTIFACTS, in turn, with every engine named and with the machine's state.

    Without --engine each one runs on the engine that a Predictor would take.
    """
    if max_runs < min_runs:
        raise UsageError(f"--max-runs {max_runs} is below --min-runs {min_runs}")
    plan = Plan(
        threads=threads,
        kernels=kernels,
        rounds=rounds,
        warmup_runs=warmup_runs,
        warmup_duration_ns=round(warmup_seconds * 1e9),
        min_runs=min_runs,
        min_duration_ns=round(min_seconds * 1e9),
        max_runs=max_runs,
        selftest=not no_selftest,
    )
    if out is not None and out.exists():
        read_records(out)  # refused before minutes of measuring, not after
    opened = [open_subject(path) for path in artifacts]
    screen = Console(stderr=True)
    # no refresh thread: the bar moves between blocks only, and not at all where nobody looks
    with Progress(console=screen, transient=True, auto_refresh=False, disable=not screen.is_terminal) as progress:
        task = progress.add_task("measuring", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            progress.refresh()

        records = bench(
            opened,
            engines,
            plan,
            LocalTarget(),
            command=shlex.join(["edge", *sys.argv[1:]]),
            progress=show,
        )
    if out is not None:
        append_records(out, records)
    if as_json:
        for record in records:
            click.echo(record_line(record))
        return
    print_table(latency_table(records), Console())
    for sentence in dict.fromkeys(taint.sentence for record in records for taint in record.taints):
        click.echo(f"~ {sentence}", err=True)
