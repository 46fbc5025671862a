"""An explanation's times of operators against times of the same operators measured otherwise."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table


def told_ns(record: Path) -> dict[str, int]:
    """Times of the operators that stand alone in the first record's explanation, by name. Without any it ends here."""
    explanation = json.loads(record.read_text(encoding="utf-8").splitlines()[0])["explanation"]
    operators = explanation["operators"] if explanation else ()
    told = {entry["names"][0]: entry["time_ns"] for entry in operators if len(entry["names"]) == 1}
    if not told:
        raise SystemExit(
            f"{record}: its first record explains no operator by itself; take one of `edge bench --explain`"
        )
    return told


def medians_ns(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Median nanoseconds of every call, all taken in turn, each after an untimed one."""
    times: list[list[int]] = [[] for _ in calls]
    for _ in range(rounds):
        for taken, call in zip(times, calls, strict=True):
            call()
            start_ns = time.perf_counter_ns()
            call()
            taken.append(time.perf_counter_ns() - start_ns)
    return [statistics.median(taken) for taken in times]


def print_split(told: Mapping[str, float], measured: Mapping[str, float], method: str) -> None:
    """A row for every operator that both know; then the ratio of the sums and the rank correlation."""
    both = {name: value for name, value in measured.items() if name in told}
    if not both:
        raise SystemExit(
            f"none of the {len(measured)} operators that can be cut out alone has a time in the explanation"
        )
    table = Table("operator", f"{method}, us", "by cuts, us", "ratio")
    for name, value in both.items():
        table.add_row(name, f"{told[name] / 1e3:.1f}", f"{value / 1e3:.1f}", f"{told[name] / value:.2f}")
    console = Console()
    console.print(table)
    ratio = sum(told[name] for name in both) / sum(both.values())
    ranks = np.corrcoef(_ranks([told[name] for name in both]), _ranks(list(both.values())))[0, 1]
    console.print(f"{len(both)} operators: sum {ratio:.3f} of the cuts' sum, rank correlation {ranks:.3f}")


def _ranks(values: Sequence[float]) -> npt.NDArray[np.int64]:
    return np.argsort(np.argsort(values))
