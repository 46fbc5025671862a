"""Operators of a TFLite file timed as what its beginnings differ by, against what `edge bench --explain` said of them.

    edge bench ARTIFACT --engine litert --explain -o explained.jsonl
    python -m tests.benchmarks.tflite_split ARTIFACT/model.tflite explained.jsonl

`--explain` times each operator as a model of its own. Here the first operator, the first two and so on are models, and
the difference of two of them in a row is an operator: it is run where it stands in the network, on data that the one
before it has just made. But the noise of two long times is in each difference, several microseconds: so runs of SEGMENT
operators in a row are compared as well, where it matters less.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.engines.file_parts import part_of
from edge.engines.litert import LiteRtSession, open_litert
from edge.graph.importers.tflite.parts import TflitePart, tflite_prefixes
from edge.graph.importers.tflite.reader import read_tflite
from tests.benchmarks.split_check import medians_ns, print_split, told_ns

PASSES, ROUNDS, GROUP, SEGMENT = 5, 5, 16, 8


def main() -> None:
    """Print the tables and the rank correlations."""
    parser = argparse.ArgumentParser(description="Hold the split of --explain to differences of beginnings.")
    parser.add_argument("model", type=Path, help="a TFLite file")
    parser.add_argument("record", type=Path, help="records; the first one has an explanation of that file")
    parser.add_argument("--kernels", help="kernel set, as it was explained")
    asked = parser.parse_args()
    told, measured = told_ns(asked.record), steps_ns(asked.model, asked.kernels)
    print_split(told, measured, "explained")
    print_split(_segments(told), _segments(measured), "explained")


def steps_ns(model: Path, kernels: str | None) -> dict[str, float]:
    """Nanoseconds by which every beginning is slower than the one before; the mean of PASSES with sessions anew."""
    names = [operator.name for operator in read_tflite(model).operators]
    data = model.read_bytes()
    prefixes = tflite_prefixes(data)
    passes = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.tflite"
        for _ in range(PASSES):
            steps: list[float] = []
            for first in range(0, max(len(prefixes) - 1, 1), GROUP - 1):
                calls = [_call(data, part, path, kernels) for part in prefixes[first : first + GROUP]]
                times = medians_ns(calls, ROUNDS)
                steps += np.diff(times, prepend=[] if first else [0.0]).tolist()
            passes.append(steps)
    return dict(zip(names, np.mean(passes, axis=0).tolist(), strict=True))


def _call(data: bytes, part: TflitePart, path: Path, kernels: str | None) -> Callable[[], None]:
    path.write_bytes(part_of(data, part.words, part.lists))
    session = open_litert(path, kernels=kernels)
    path.unlink()  # the next one must not write into a file that this session reads
    if not isinstance(session, LiteRtSession):
        raise SystemExit("not a LiteRT session")
    rng = np.random.default_rng(0)
    _, compute = session.separate([rng.integers(-100, 100, port.shape).astype(port.dtype) for port in session.inputs])
    return compute


def _segments(times_ns: dict[str, float] | dict[str, int]) -> dict[str, float]:
    names = list(times_ns)
    return {
        f"{names[first]} and {len(names[first : first + SEGMENT]) - 1} more": float(
            sum(times_ns[name] for name in names[first : first + SEGMENT])
        )
        for first in range(0, len(names), SEGMENT)
    }


if __name__ == "__main__":
    main()
