"""The report's groups as Markdown, CSV and JSON-ready rows."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

from device_bench.records.row import PERCENTILES
from device_bench.report.columns import Column, markdown_table
from device_bench.report.groups import MEANS, Group
from device_bench.report.table import milliseconds
from edge.errors import one_line

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


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
    return markdown_table(MARKDOWN, groups)


def _accuracy(group: Group) -> str:
    return f"{100 * group.accuracy:.1f} % {group.metric}" if group.accuracy is not None else ""


def _latency(percentile: int, group: Group) -> str:
    """With the bounds of its confidence interval; instructions where it is emulated."""
    if group.emulated:
        count = group.medians["instructions"] if percentile == PERCENTILES[0] else None
        told = "" if count is None else f": {count / 1e6:,.3f} M instructions"
        return f"emulated{told}" if percentile == PERCENTILES[0] else ""
    value, bounds = group.latency_ns[percentile], group.confidence_ns[percentile]
    interval = f" ({milliseconds(bounds[0])} to {milliseconds(bounds[1])})" if bounds else ""
    return "" if value is None else f"{group.mark}{milliseconds(value)}{interval}"


MARKDOWN = (
    Column[Group](heading="measured", cell=lambda group: group.what, words=True),
    Column[Group](heading="engine and machine", cell=lambda group: group.how, words=True),
    *(Column[Group](heading=f"p{percentile} ms", cell=partial(_latency, percentile)) for percentile in PERCENTILES),
    Column[Group](heading="accuracy", cell=_accuracy),
    Column[Group](heading="records", cell=lambda group: f"{group.records:,}"),
    Column[Group](heading="tainted by", cell=lambda group: ", ".join(group.kinds), words=True),
)
