"""The rows of `tests.benchmarks.methods` as a Markdown table."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "network", "metric, %", "float", "INT8", "Boundary IoU, float", "INT8", "values differing", "M multiply-adds",
    "parameters", "KiB, float", "INT8", "ms, float", "INT8", "M ARM instructions", "seconds of one core",
)  # fmt: skip


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of Markdown: the table, then a line for each row whose INT8 is too far below float.

    Args:
        rows: what `tests.benchmarks.methods_row.measure` found, with `float_file` and `int8_file` where they were
            benched: {"size_bytes", "p50_ns", "clean"}.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * 2}{' ---: |' * (len(COLUMNS) - 2)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    told = [line for row in rows if (line := _at_fault(row))]
    return [*lines, "", *told] if told else lines


def _cells(row: Mapping[str, Any]) -> list[str]:
    files = [row.get("float_file"), row.get("int8_file")]
    instructions = row["instructions"]
    return [
        row["name"],
        row["metric"],
        percent(row["float"]),
        percent(row["int8"]),
        percent(row.get("boundary_float")),
        percent(row.get("boundary_int8")),
        f"{row['differing']} of {row['values']:,}",
        f"{row['multiply_adds'] / 1e6:.1f}" + ("*" if row["unruled"] else ""),
        f"{row['parameters']:,}",
        *("" if file is None else f"{file['size_bytes'] / 1024:.0f}" for file in files),
        *(milliseconds(file) for file in files),
        "" if instructions is None else f"{instructions / 1e6:.1f}",
        f"{row['cpu_seconds']:.0f}",
    ]


def percent(share: float | None) -> str:
    """A share in percent; empty where there is none."""
    return "" if share is None else f"{100 * share:.1f}"


def milliseconds(file: Mapping[str, Any] | None) -> str:
    """The median time of a file, `~` before it where the machine was not quiet; empty where it was not timed."""
    return "" if file is None else f"{'' if file['clean'] else '~'}{file['p50_ns'] / 1e6:.2f}"


def _at_fault(row: Mapping[str, Any]) -> str:
    """Why INT8 is below float, as the ranking of the layers has it; empty where nothing was ranked."""
    if not row["layers"]:
        return ""
    named = [f"`{entry['layer']}` ({entry['share']:.0%} of the error alone)" for entry in row["layers"]]
    reasons = [entry["why"]["reason"] for entry in row["layers"] if entry["why"]]
    drop = 100 * (row["float"] - row["int8"])
    return f"- {row['name']}: {drop:.1f} points; {', '.join(named)}{': ' if reasons else ''}{'; '.join(reasons)}"
