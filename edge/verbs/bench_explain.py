"""edge bench --explain: what can be explained, and the tables of where the time goes."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from device_bench.explanation import ExplainedOperator, Explanation
from device_bench.record import Record
from edge.errors import UsageError

WITHOUT_AGENT = {
    "adb": "benchmark_model measures there",
    "emulated-arm64": "an emulated machine's time is no latency",
}
HEADS = ("", "operator", "us", "95 %", "time", "MAdds", "MAdds/B", "bound", "attained")
LEFT = ("operator", "bound")
MOST_NAMES = 3


def check_targets(on: Sequence[str]) -> None:
    """Refuse (UsageError) targets whose operators cannot be timed, before anything is measured."""
    for name in on:
        why = WITHOUT_AGENT.get(name.split(":", 1)[0])
        if why is not None:
            raise UsageError(f"--explain --on {name}: {why}; explain on local or ssh://")


def print_explanations(records: Sequence[Record], console: Console) -> None:
    """A table, the peaks, the reasons and the changes of every record that has them."""
    for record in records:
        if record.explanation is not None:
            title = f"{record.measured.name}/{record.measured.file} on {record.target.name}, {_how(record.explanation)}"
            console.print()
            _print(title, record.explanation, console)


def _how(found: Explanation) -> str:
    return f"{found.engine}, {found.threads} thread{'s' * (found.threads > 1)}"


def _print(title: str, found: Explanation, console: Console) -> None:
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in HEADS:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=name != "operator")
    mixed = len({operator.delegated for operator in found.operators}) > 1
    for place, operator in enumerate(found.operators):
        table.add_row(str(place), *_row(operator, mixed))
    console.print(table)
    peaks = found.peaks
    console.print(
        f"whole {found.whole_ns / 1e3:.0f} us, unexplained {found.unexplained_ns / 1e3:.0f} us "
        f"({found.unexplained_ns / found.whole_ns:.1%}); peaks: "
        f"int8 {_giga(peaks.int8_multiply_adds_per_s)}, float {_giga(peaks.float_multiply_adds_per_s)} "
        "G multiply-adds/s, memory "
        + ", ".join(f"{entry.bytes_per_s / 1e9:.0f} ({_size(entry.working_set_bytes)})" for entry in peaks.bandwidths)
        + " GB/s",
        highlight=False,
    )
    if found.profiled_whole_ns is not None:
        console.print(
            f"with the profile on {found.profiled_whole_ns / 1e3:.0f} us; what it costs is taken off every operator",
            highlight=False,
        )
    for reason in found.reasons:
        console.print(f"- {reason.name}: {reason.sentence}", highlight=False, markup=False)
    console.print("what would pay:" if found.changes else "nothing that is known would pay", highlight=False)
    for change in found.changes:
        console.print(f"- {change.gain:.1%}: {change.sentence} ({change.how})", highlight=False, markup=False)


def _row(operator: ExplainedOperator, mixed: bool) -> list[str]:
    share, intensity = operator.share_multiply_adds, operator.intensity
    more = len(operator.names) - MOST_NAMES
    names = " + ".join((*operator.names[:MOST_NAMES], *([f"{more} more"] if more > 0 else [])))
    outside = " (not delegated)" if mixed and operator.delegated is False else ""
    return [
        escape(f"{operator.kind} {names}{outside}"),
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
