"""What `edge bench` shows: a bar per device while it measures, then the table and what is to be said about it."""

from collections.abc import Sequence

from device_bench.bench.fleet import Done, Order, Outcome, bench_fleet
from device_bench.bench.remarks import remarks
from device_bench.report.table import latency_table, stage_table
from device_bench.targets.target import Progress as Tell
from device_bench.targets.target import Target
from edge.cli.bench_explain import show_explanations
from edge.errors import EdgeError
from edge.terminal import Bars, say_json, show_wide, tell


def measured_with_bars(targets: Sequence[Target], order: Order, done: Done) -> list[Outcome]:
    """Measure, with a bar per device; it moves between blocks only, and not at all where nobody looks."""
    with Bars(auto_refresh=False) as progress:

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
        show_wide(latency_table(records))
        if any(record.end_to_end is not None for record in records):
            show_wide(stage_table(records))
        show_explanations(records)
    for outcome in outcomes:
        if outcome.resumed:
            for record in outcome.records if as_json else ():
                say_json(record.model_dump(mode="json"))
            tell(f"{outcome.target}: measured before; taken from the file")
    tell(*remarks(records))


def fail(outcomes: Sequence[Outcome]) -> bool:
    """Whether anything failed; each failure is a line on standard error.

    Raises:
        EdgeError: the only failure there is. Exception: what nobody foresaw, after the lines of all others.
    """
    found = [(outcome.target, error) for outcome in outcomes for error in outcome.errors]
    if len(found) == 1:
        raise found[0][1]
    foreseen = [(target, error) for target, error in found if isinstance(error, EdgeError)]
    tell(*(f"edge bench: {_placed(target, error)}" for target, error in foreseen))
    for _, error in found:
        if not isinstance(error, EdgeError):
            raise error
    return bool(found)


def _placed(target: str, error: EdgeError) -> str:
    """The message with its target before it, once."""
    text = str(error)
    return text if text.startswith(target) else f"{target}: {text}"
