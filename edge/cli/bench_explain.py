"""edge bench --explain: what can be explained, and the tables of where the time goes."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from device_bench.records.explanation import ExplainedOperator, Explanation
from device_bench.records.record import Record
from edge.errors import UsageError
from edge.terminal import say, show

WITHOUT_AGENT = {
    "adb": "benchmark_model measures there",
    "emulated-arm64": "an emulated machine's time is not a latency",
}
HEADS = ("", "operator", "us", "95 %", "time", "MAdds", "MAdds/B", "bound", "attained")
LEFT = ("operator", "bound")
MOST_NAMES = 3
MOST_OPERATORS = 12
LEAST_WIDTH = 120  # columns: names of operators are long


def check_targets(on: Sequence[str]) -> None:
    """Refuse (UsageError) targets whose operators cannot be timed, before anything is measured."""
    for name in on:
        why = WITHOUT_AGENT.get(name.split(":", 1)[0])
        if why is not None:
            raise UsageError(f"--explain --on {name}: {why}; explain on local or ssh://")


def show_explanations(records: Sequence[Record]) -> None:
    """Of every record that has one: what was found and what would pay, then its slowest operators as a table."""
    for record in records:
        if record.explanation is not None:
            what = f"{record.measured.name}/{record.measured.file} on {record.target.name}"
            say("", f"{what}, {_how(record.explanation)}", *_conclusions(record.explanation))
            show(_table(record.explanation), least_width=LEAST_WIDTH)


def _how(found: Explanation) -> str:
    return f"{found.engine}, {found.threads} thread{'s' * (found.threads > 1)}"


def _conclusions(found: Explanation) -> list[str]:
    peaks = found.peaks
    memory = ", ".join(f"{pace.bytes_per_s / 1e9:.0f} ({_size(pace.working_set_bytes)})" for pace in peaks.bandwidths)
    lines = [
        f"whole {found.whole_ns / 1e3:.0f} us, {found.unexplained_words}; peaks: int8 "
        f"{_giga(peaks.int8_multiply_adds_per_s)}, float {_giga(peaks.float_multiply_adds_per_s)} "
        f"G multiply-adds/s, memory {memory} GB/s"
    ]
    if found.profiled_whole_ns is not None:
        lines.append(
            f"with the profile on {found.profiled_whole_ns / 1e3:.0f} us; what it costs is taken off every operator"
        )
    lines += [f"- {reason.name}: {reason.sentence}" for reason in found.reasons]
    lines.append("what would pay:" if found.changes else "nothing that is known would pay")
    return [*lines, *(f"- {change.gain:.1%}: {change.sentence} ({change.how})" for change in found.changes)]


def _table(found: Explanation) -> Table:
    """The slowest operators, in the order of their times; their numbers are their places in the file."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in HEADS:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=name != "operator")
    mixed = len({operator.delegated for operator in found.operators}) > 1
    ranked = sorted(enumerate(found.operators), key=lambda entry: -entry[1].time_ns)
    for place, operator in ranked[:MOST_OPERATORS]:
        table.add_row(str(place), *_row(operator, mixed))
    if rest := [operator for _, operator in ranked[MOST_OPERATORS:]]:
        time_ns, share = sum(operator.time_ns for operator in rest), sum(operator.share_time for operator in rest)
        told = f"{len(rest)} more: every one is in the records (-o, --json)"
        table.add_row("", told, f"{time_ns / 1e3:.0f}", "", f"{share:.1%}")
    return table


def _row(operator: ExplainedOperator, mixed: bool) -> list[str]:
    share, intensity = operator.share_multiply_adds, operator.intensity
    more = len(operator.names) - MOST_NAMES
    names = " + ".join((*operator.names[:MOST_NAMES], *([f"{more} more"] if more > 0 else [])))
    outside = " (not delegated)" if mixed and operator.delegated is False else ""
    return [
        f"{operator.kind} {names}{outside}",
        f"{operator.time_ns / 1e3:.0f}",
        f"{(operator.low_ns or 0) / 1e3:.0f}..{(operator.high_ns or 0) / 1e3:.0f}",
        f"{operator.share_time:.1%}",
        "" if share is None else f"{share:.1%}",
        "" if intensity is None else f"{intensity:.1f}",
        operator.bound or "",
        "" if operator.attainable is None else f"{operator.attainable:.0%}",
    ]


def _giga(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e9:.1f}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes // 2**20} MiB" if size_bytes >= 2**20 else f"{size_bytes // 2**10} KiB"
