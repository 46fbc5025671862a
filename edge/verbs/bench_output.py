"""What `edge bench` shows: a bar per device while it measures, then the table and what is to be said about it."""

from collections.abc import Sequence

import click
from rich.console import Console
from rich.progress import Progress

from device_bench.fleet import Done, Order, Outcome, bench_fleet
from device_bench.record import record_line
from device_bench.remarks import remarks
from device_bench.table import latency_table, print_table, stage_table
from device_bench.targets.target import Progress as Tell
from device_bench.targets.target import Target
from edge.errors import EdgeError
from edge.verbs.bench_explain import print_explanations


def measured_with_bars(targets: Sequence[Target], order: Order, done: Done) -> list[Outcome]:
    """Measure, with a bar per device; it moves between blocks only, and not at all where nobody looks."""
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, auto_refresh=False, disable=not screen.is_terminal) as progress:

        def bar(target: Target) -> Tell:
            task = progress.add_task(target.name, total=None)

            def show(finished: int, total: int) -> None:
                progress.update(task, completed=finished, total=total)
                progress.refresh()

            return show

        return bench_fleet(targets, order, done=done, progress=bar)


def print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """The table on standard output; failures, remarks and what was there already on standard error."""
    records = [record for outcome in outcomes for record in outcome.records]
    if records and not as_json:
        console = Console()
        print_table(latency_table(records), console)
        if any(record.end_to_end is not None for record in records):
            print_table(stage_table(records), console)
        print_explanations(records, console)
    for outcome in outcomes:
        if outcome.resumed:
            for record in outcome.records if as_json else ():
                click.echo(record_line(record))
            click.echo(f"{outcome.target}: measured before; taken from the file", err=True)
        if outcome.error is not None and len(outcomes) > 1:
            click.echo(f"edge bench: {_placed(outcome.target, outcome.error)}", err=True)
    for line in remarks(records):
        click.echo(line, err=True)


def _placed(target: str, error: EdgeError) -> str:
    """The message with its target before it, once."""
    text = str(error)
    return text if text.startswith(target) else f"{target}: {text}"
