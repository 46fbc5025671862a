"""Operators of an ONNX file timed without ONNX Runtime's profile, against what `edge bench --explain` said of them.

    edge bench ARTIFACT --engine onnxruntime --explain -o explained.jsonl
    python -m converters.benchmarks.onnx_split ARTIFACT/model.onnx explained.jsonl

An operator whose input and output are of the same size is cut out of the file together with the one before it, and
that one alone: both cuts reorder the same bytes at both ends, so the difference of their medians is the operator. One
thread; all cuts are taken in turn.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge.graph.graph import Graph, Operator
from edge.graph.onnx import read_onnx
from edge.graph.onnx_cut import OnnxCutter
from edge.runtime.onnx_session import open_onnxruntime

ROUNDS = 41


def main() -> None:
    """Print the table and the rank correlation."""
    parser = argparse.ArgumentParser(description="Hold the profile's split to cuts of the file.")
    parser.add_argument("model", type=Path, help="an ONNX file")
    parser.add_argument("record", type=Path, help="records; the first one has an explanation of that file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    told = told_ns(asked.record)
    measured = {name: value for name, value in cut_times_ns(asked.model, asked.rounds).items() if name in told}
    table = Table("operator", "profile, us", "by cuts, us", "ratio")
    for name, value in measured.items():
        table.add_row(name, f"{told[name] / 1e3:.1f}", f"{value / 1e3:.1f}", f"{told[name] / value:.2f}")
    console = Console()
    console.print(table)
    ratio = sum(told[name] for name in measured) / sum(measured.values())
    ranks = np.corrcoef(_ranks([told[name] for name in measured]), _ranks(list(measured.values())))[0, 1]
    console.print(f"{len(measured)} operators: sum {ratio:.3f} of the cuts' sum, rank correlation {ranks:.3f}")


def _ranks(values: list[float] | list[int]) -> npt.NDArray[np.int64]:
    return np.argsort(np.argsort(values))


def told_ns(record: Path) -> dict[str, int]:
    """Times of the operators that stand alone in the first record's explanation."""
    explanation = json.loads(record.read_text(encoding="utf-8").splitlines()[0])["explanation"]
    return {entry["names"][0]: entry["time_ns"] for entry in explanation["operators"] if len(entry["names"]) == 1}


def cut_times_ns(model: Path, rounds: int) -> dict[str, float]:
    """Nanoseconds of every operator that keeps its input's size and has one input, as a difference of two cuts."""
    graph = read_onnx(model, batch=1)
    cutter = OnnxCutter(model.read_bytes(), graph)
    pairs = _pairs(graph)
    with tempfile.TemporaryDirectory() as folder:
        calls = [
            _call(cutter, graph, before, last, Path(folder) / f"{place}.onnx")
            for place, (before, operator) in enumerate(pairs)
            for last in (before, operator)
        ]
        times: list[list[int]] = [[] for _ in calls]
        for _ in range(rounds):
            for taken, call in zip(times, calls, strict=True):
                call()
                start_ns = time.perf_counter_ns()
                call()
                taken.append(time.perf_counter_ns() - start_ns)
    medians = [statistics.median(taken) for taken in times]
    return {operator.name: medians[2 * place + 1] - medians[2 * place] for place, (_, operator) in enumerate(pairs)}


def _pairs(graph: Graph) -> list[tuple[Operator, Operator]]:
    """The operator before and the operator, for convolutions of convolutions that keep shape and type."""
    found = []
    for operator in graph.operators:
        before = graph.producer(operator.inputs[0])
        if before is None or before.kind != "Conv" or operator.kind != "Conv":
            continue
        source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
        if (source.shape, source.dtype) == (target.shape, target.dtype):
            found.append((before, operator))
    return found


def _call(cutter: OnnxCutter, graph: Graph, first: Operator, last: Operator, path: Path) -> Callable[[], Any]:
    path.write_bytes(cutter.cut([first.inputs[0]], last.outputs))
    session = open_onnxruntime(path)
    values = np.random.default_rng(0).integers(0, 255, session.inputs[0].shape)
    inputs = [values.astype(session.inputs[0].dtype)]
    return lambda: session.run(inputs)


if __name__ == "__main__":
    main()
