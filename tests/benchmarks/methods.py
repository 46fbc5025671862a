"""Every network and option on the generated sets, float beside INT8, in one table.

    python -m tests.benchmarks.methods -o runs/methods

Each row trains both phases, converts, verifies on the whole validation split and counts instructions by the verbs of
`edge`, one thread a row, two rows at a time; then all files are timed in turn with nothing beside them. A row that is
done is kept in its folder, a training that was cut off goes on: the same command again. Rows: `methods_rows.py`.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import reduce
from pathlib import Path
from typing import Any, NoReturn

import click

from device_bench.targets.emulated_arm64.userland import CPUS
from edge.errors import EdgeError, UsageError, unknown_name
from edge.files import atomic
from tests.benchmarks.methods_row import RESULT, edge, measure
from tests.benchmarks.methods_rows import ROWS, Row
from tests.benchmarks.methods_table import markdown


def measure_all(rows: Sequence[Row], folder: Path, processes: int, cpu: str | None, userland: Path | None) -> list[str]:
    """Measure every row that is not kept; returns why rows failed."""
    started, failed = time.monotonic(), []
    waiting = [row for row in rows if not (folder / row.folder / RESULT).is_file()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = {pool.submit(measure, row, folder / row.folder, cpu, userland): row for row in waiting}
        for done, future in enumerate(as_completed(running), 1):
            row = running[future]
            head = f"{done} of {len(waiting)}, {time.monotonic() - started:.0f} s: {row.name}:"
            try:
                found = future.result()
            except EdgeError as error:
                failed.append(f"{row.name}: {error}; see {folder / row.folder / 'log.txt'}")
                say(f"{head} failed: {error}")
                continue
            accuracy = f"{found['metric']} {found['float']:.1%} -> {found['int8']:.1%}"
            say(f"{head} {accuracy}, {found['differing']} values differ, {found['cpu_seconds']:.0f} s of one core")
    return failed


def time_all(rows: Sequence[Row], folder: Path) -> dict[str, dict[str, Any]]:
    """Size and latency of the float and the INT8 file of rows, run in turn: never kept, as they belong together."""
    artifacts = [folder / row.folder / kind for row in rows for kind in ("float", "int8")]
    plan = ["--rounds", "5", "--min-runs", "20", "--min-seconds", "0.2", "--warmup-seconds", "0.1"]
    records = edge("bench", *artifacts, "--engine", "litert", *plan, "--json")
    records.sort(key=lambda record: record["position"])
    if len(records) != len(artifacts):
        raise EdgeError(f"edge bench gave {len(records)} records of {len(artifacts)} artifacts")
    return {
        str(artifact.relative_to(folder)): {
            "size_bytes": record["measured"]["size_bytes"],
            "p50_ns": record["latency_ns"]["p50_ns"],
            "clean": not record["taints"],
        }
        for artifact, record in zip(artifacts, records, strict=True)
    }


def table(rows: Sequence[Row], folder: Path, timed: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is kept of the rows, in their order, with their files' sizes and times."""
    return [
        json.loads((folder / row.folder / RESULT).read_text())
        | {f"{kind}_file": timed.get(f"{row.folder}/{kind}") for kind in ("float", "int8")}
        for row in rows
    ]


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def chosen(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Rows by name, in the table's order; none means all. Refuses (UsageError) an unknown one."""
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise UsageError(unknown_name("row", name, known))
    return [row for row in rows if not names or row.name in names]


def end(found: Sequence[Mapping[str, Any]], folder: Path, lines: Sequence[str], failed: Sequence[str]) -> NoReturn:
    """Keep the figures, print the table and leave: with 1 where a row failed or differs."""
    atomic.write_text(folder / "table.json", json.dumps(found, indent=1) + "\n")
    click.echo("\n".join(lines))
    say(f"{sum(row['cpu_seconds'] for row in found) / 60:.1f} minutes of one core in {len(found)} rows")
    sys.exit(int(bool(failed) or any(row["differing"] for row in found)))


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--only", multiple=True, metavar="ROW", help="This row; repeatable. All if omitted."),
    click.option("--processes", default=2, show_default=True, help="Rows at a time, one thread each."),
    click.option(
        "--cpu", type=click.Choice(list(CPUS)), default="cortex-a76", show_default=True, help="Emulated core."
    ),
    click.option("--userland", type=click.Path(path_type=Path), help="Where the emulated userland was built."),
    click.option("--no-instructions", is_flag=True, help="Count no instructions: without the emulated userland."),
)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command OPTIONS."""
    return reduce(lambda given, option: option(given), reversed(OPTIONS), function)


@click.command()
@click.option(
    "-o", "--out", "folder", type=click.Path(path_type=Path), required=True, help="Rows that are done stay here."
)
@with_options
def command(
    folder: Path, only: tuple[str, ...], processes: int, cpu: str, userland: Path | None, no_instructions: bool
) -> None:
    """Print the table as Markdown; FOLDER/table.json has all figures. Exit code 1: a row failed or differs."""
    try:
        rows = chosen(ROWS, only)
        folder.mkdir(parents=True, exist_ok=True)
        failed = measure_all(rows, folder, processes, None if no_instructions else cpu, userland)
        done = [row for row in rows if (folder / row.folder / RESULT).is_file()]
        found = table(done, folder, time_all(done, folder) if done else {})
    except EdgeError as error:
        sys.exit(str(error))
    end(found, folder, markdown(found), failed)


if __name__ == "__main__":
    command()
