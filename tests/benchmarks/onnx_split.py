"""Operators of an ONNX file timed without ONNX Runtime's profile, against what `edge bench --explain` said of them.

    edge bench ARTIFACT --engine onnxruntime --explain -o explained.jsonl
    python -m tests.benchmarks.onnx_split ARTIFACT/model.onnx explained.jsonl

An operator whose input and output are of the same size is cut out of the file together with the one before it, and
that one alone: both cuts reorder the same bytes at both ends, so the difference of their medians is the operator. One
thread; all cuts are taken in turn.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge.engines.onnx_session import open_onnxruntime
from edge.graph.graph import Graph, Operator
from edge.graph.importers.onnx.extract import OnnxExtractor
from edge.graph.importers.onnx.reader import read_onnx
from tests.benchmarks.split_check import medians_ns, print_split, told_ns

ROUNDS = 41


def main() -> None:
    """Print the table and the rank correlation."""
    parser = argparse.ArgumentParser(description="Hold the profile's split to cuts of the file.")
    parser.add_argument("model", type=Path, help="an ONNX file")
    parser.add_argument("record", type=Path, help="records; the first one has an explanation of that file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    print_split(told_ns(asked.record), cut_times_ns(asked.model, asked.rounds), "profile")


def cut_times_ns(model: Path, rounds: int) -> dict[str, float]:
    """Nanoseconds of every operator that keeps its input's size and has one input, as a difference of two cuts."""
    graph = read_onnx(model, batch=1)
    extractor = OnnxExtractor(model.read_bytes(), graph)
    pairs = _pairs(graph)
    with tempfile.TemporaryDirectory() as folder:
        calls = [
            _call(extractor, graph, before, last, Path(folder) / f"{place}.onnx")
            for place, (before, operator) in enumerate(pairs)
            for last in (before, operator)
        ]
        medians = medians_ns(calls, rounds)
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


def _call(extractor: OnnxExtractor, graph: Graph, first: Operator, last: Operator, path: Path) -> Callable[[], Any]:
    path.write_bytes(extractor.extract([first.inputs[0]], last.outputs))
    session = open_onnxruntime(path)
    values = np.random.default_rng(0).integers(0, 255, session.inputs[0].shape)
    inputs = [values.astype(session.inputs[0].dtype)]
    return lambda: session.run(inputs)


if __name__ == "__main__":
    main()
