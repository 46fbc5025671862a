"""The rows of `tests.benchmarks.attention` as two Markdown tables: what was measured, and what each module pays."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edge.models.attention import ATTENTION
from tests.benchmarks.attention_rows import AGAIN, PLAIN, SETS
from tests.benchmarks.methods_table import milliseconds, percent

COLUMNS = (
    "set", "attention", "images", "float, %", "INT8, %", "quantization, points", "Boundary IoU, float", "INT8",
    "values differing", "M multiply-adds", "parameters", "KiB", "ms", "M ARM instructions", "seconds of one core",
)  # fmt: skip
PAYS = (
    "set", "module", "INT8 over plain, points", "noise, points", "quantization beyond plain's, points",
    "times the ms", "times the ARM instructions", "so",
)  # fmt: skip
MISSING = "Not measured yet: "


def markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of Markdown: the table of what was measured, then that of what each module pays.

    A last line says which rows are missing, if any.

    Args:
        rows: as `tests.benchmarks.methods.table` gives them, with `set` and `attention`.
    """
    lines = [*_head(COLUMNS), *(f"| {' | '.join(_cells(row))} |" for row in rows), "", *_head(PAYS)]
    for name in SETS:
        found = {row["attention"]: row for row in rows if row["set"] == name}
        modules = [kind for kind in found if kind not in (PLAIN, AGAIN)]
        if PLAIN in found:
            lines += [f"| {' | '.join(_pays(found, kind))} |" for kind in modules]
    measured = {(row["set"], row["attention"]) for row in rows}
    missing = [f"{name} {kind}" for name in SETS for kind in ATTENTION if (name, kind) not in measured]
    return [*lines, "", f"{MISSING}{', '.join(missing)}."] if missing else lines


def noise(plain: Mapping[str, Any], again: Mapping[str, Any] | None) -> float | None:
    """By how much two accuracies may differ and mean nothing, in [0, 1]; None: nothing says.

    Twice the distance of two trainings of the plain network that differ in their seeds, in float or INT8, whichever is
    larger; of classifiers at least two standard errors of the difference of two shares of so many images.
    """
    estimates = []
    if again is not None:
        estimates += [2 * abs(plain[key] - again[key]) for key in ("float", "int8")]
    if plain["metric"] == "top1":
        estimates.append(2 * math.sqrt(2) * standard_error(plain["int8"], plain["images"]))
    return max(estimates, default=None)


def standard_error(share: float, images: int) -> float:
    """Of a share of so many independent images (binomial)."""
    return math.sqrt(share * (1 - share) / images)


def _head(columns: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * 2}{' ---: |' * (len(columns) - 2)}"]


def _cells(row: Mapping[str, Any]) -> list[str]:
    file, instructions = row.get("int8_file"), row["instructions"]
    return [
        row["set"],
        row["attention"],
        str(row["images"]),
        *(_accuracy(row, key) for key in ("float", "int8")),
        f"{100 * (row['int8'] - row['float']):+.1f}",
        percent(row.get("boundary_float")),
        percent(row.get("boundary_int8")),
        f"{row['differing']} of {row['values']:,}",
        f"{row['multiply_adds'] / 1e6:.1f}" + ("*" if row["unruled"] else ""),
        f"{row['parameters']:,}",
        "" if file is None else f"{file['size_bytes'] / 1024:.0f}",
        milliseconds(file),
        "" if instructions is None else f"{instructions / 1e6:.1f}",
        f"{row['cpu_seconds']:.0f}",
    ]


def _accuracy(row: Mapping[str, Any], key: str) -> str:
    """With its standard error, where images are independent of each other."""
    error = f" ± {100 * standard_error(row[key], row['images']):.1f}" if row["metric"] == "top1" else ""
    return percent(row[key]) + error


def _pays(found: Mapping[str, Mapping[str, Any]], kind: str) -> list[str]:
    plain, row = found[PLAIN], found[kind]
    gain = row["int8"] - plain["int8"]
    width = noise(plain, found.get(AGAIN))
    drops = [one["int8"] - one["float"] for one in (row, plain)]
    pairs = [[(one.get("int8_file") or {}).get("p50_ns", 0), one["instructions"] or 0] for one in (row, plain)]
    return [
        row["set"],
        kind,
        f"{100 * gain:+.1f}",
        percent(width),
        f"{100 * (drops[0] - drops[1]):+.1f}",
        *(f"{one / beside:.2f}" if one and beside else "" for one, beside in zip(*pairs, strict=True)),
        "" if width is None else "within noise" if abs(gain) <= width else "better" if gain > 0 else "worse",
    ]
