"""The report's groups as Markdown, CSV and JSON-ready rows."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from device_bench.records.row import PERCENTILES
from device_bench.report.groups import MEANS, Group
from device_bench.report.table import milliseconds
from edge.errors import one_line

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
MARKDOWN_SIGNS = "\\|`*_[]<>&#~"


def flat(group: Group) -> dict[str, Any]:
    """A group as one row: its key, counts, percentiles with their bounds, and medians; None where not known."""
    return {
        **group.key,
        "version": group.version,
        "taints": " ".join(group.kinds),
        "records": group.records,
        "devices": group.devices,
        "emulated": group.emulated,
        "metric": group.metric,
        "accuracy": group.accuracy,
        **{
            f"p{percentile}_{end}": value
            for percentile in PERCENTILES
            for end, value in zip(
                ("ns", "low_ns", "high_ns"),
                (group.latency_ns[percentile], *(group.confidence_ns[percentile] or (None, None))),
                strict=True,
            )
        },
        "per_s": group.per_s,
        **{name: group.medians[name] for name in MEANS},
        "emulated_cpu": group.emulated_cpu,
    }


def csv_text(groups: Sequence[Group]) -> str:
    """All groups, one line each under a line of names. A text that a spreadsheet would compute gets a `'` before it."""
    rows = [flat(group) for group in groups]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(rows[0]) if rows else [])
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    printed = one_line(value)
    return f"'{printed}" if printed.startswith(FORMULA_SIGNS) else printed


def markdown_text(groups: Sequence[Group]) -> str:
    """All groups as one Markdown table; `~` marks tainted figures, emulated ones show instructions."""
    names = ("measured", "engine and machine", "p50 ms", "p90 ms", "p99 ms", "accuracy", "records", "tainted by")
    lines = [f"| {' | '.join(names)} |", "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for group in groups:
        accuracy = f"{100 * group.accuracy:.1f} % {group.metric}" if group.accuracy is not None else ""
        cells = [group.what, group.how, *_figures(group), accuracy, f"{group.records:,}", ", ".join(group.kinds)]
        lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _figures(group: Group) -> list[str]:
    if group.emulated:
        count = group.medians["instructions"]
        return ["emulated" if count is None else f"emulated: {count / 1e6:,.3f} M instructions", "", ""]
    shown = []
    for percentile in PERCENTILES:
        value, bounds = group.latency_ns[percentile], group.confidence_ns[percentile]
        interval = f" ({milliseconds(bounds[0])} to {milliseconds(bounds[1])})" if bounds else ""
        shown.append("" if value is None else f"{group.mark}{milliseconds(value)}{interval}")
    return shown


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in MARKDOWN_SIGNS else sign for sign in one_line(text))
