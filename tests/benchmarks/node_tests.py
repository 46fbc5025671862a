"""The onnx package's node tests through the float TFLite writer and LiteRT: what converts and matches, per operator.

python -m tests.benchmarks.node_tests [--operator NAME] [--failing] [--outside] [--json]
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.passes.canonical import canonical
from converters.passes.layout.axis_order import TO_NHWC
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from edge.errors import EdgeError
from edge.graph.importers.onnx.operators.table import READERS
from edge.graph.importers.onnx.reader import read_onnx
from tests.benchmarks.node_cases import NodeCase, node_cases
from tests.benchmarks.node_scope import out_of_scope

Array = npt.NDArray[Any]

# The tests compare with an absolute tolerance of 1e-7, below the rounding of a float32 sum of values near 1.
ABSOLUTE_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one case: outside the scope for a reason, or inside with a fault ('' when it matched)."""

    name: str
    operator: str
    outside: str | None
    fault: str = ""


def outcomes(cases: Iterable[NodeCase]) -> list[Outcome]:
    """Judge every case of an operator that the reader's table claims."""
    results = []
    for case in cases:
        if case.operator not in READERS:
            continue
        outside = out_of_scope(case)
        fault = "" if outside is not None else fault_of(case)
        results.append(Outcome(name=case.name, operator=case.operator, outside=outside, fault=fault))
    return results


def fault_of(case: NodeCase) -> str:
    """Convert and run one case; '' when every output matches, else what is wrong, one line."""
    try:
        found = converted_outputs(case)
    except EdgeError as error:
        return f"{type(error).__name__}: {error}"
    for (name, expected), output in zip(case.outputs.items(), found, strict=True):
        wanted = np.asarray(expected)
        if output.dtype == np.int8 and wanted.dtype == np.uint8:
            output = (output.astype(np.int16) + 128).astype(np.uint8)  # the writer's int8 stands for uint8
        if output.shape != wanted.shape:
            return f"'{name}' has shape {output.shape}, expected {wanted.shape}"
        if (output.dtype.kind in "iu") != (wanted.dtype.kind in "iu"):
            return f"'{name}' is {output.dtype}, expected {wanted.dtype}"
        close = np.isclose(output, wanted, rtol=case.rtol, atol=ABSOLUTE_TOLERANCE, equal_nan=True)
        if not close.all():
            place = tuple(int(i) for i in np.argwhere(~close)[0])
            apart = f"{int((~close).sum())} of {close.size} differ, at {place}"
            return f"'{name}': {apart} {output[place]!r} for {wanted[place]!r}"
    return ""


def converted_outputs(case: NodeCase) -> list[Array]:
    """What LiteRT gives for the case, in the axis order of the ONNX model."""
    graph = to_nhwc(canonical(read_onnx(case.model.SerializeToString(), name="case")))
    feeds = [np.asarray(case.inputs[name]) for name in graph.inputs]
    feeds = [np.ascontiguousarray(feed.transpose(TO_NHWC)) if feed.ndim == 4 else feed for feed in feeds]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.tflite"
        path.write_bytes(tflite_bytes(graph))
        outputs = open_litert(path).run(feeds)
    return [output.transpose(0, 3, 1, 2) if output.ndim == 4 else output for output in outputs]


def print_table(results: Sequence[Outcome], unclaimed: Sequence[NodeCase], *, outside: bool) -> None:
    """One row per operator, then the faults, then why cases are outside."""
    print(f"{'operator':<24}{'cases':>7}{'in scope':>10}{'match':>7}")
    for operator in sorted({result.operator for result in results}):
        mine = [result for result in results if result.operator == operator]
        inside = [result for result in mine if result.outside is None]
        match = sum(not result.fault for result in inside)
        mark = "" if match == len(inside) else "  <- fails"
        print(f"{operator:<24}{len(mine):>7}{len(inside):>10}{match:>7}{mark}")
    inside = [result for result in results if result.outside is None]
    match = sum(not result.fault for result in inside)
    print(f"{'all':<24}{len(results):>7}{len(inside):>10}{match:>7}")
    for result in inside:
        if result.fault:
            print(f"fails: {result.name} ({result.operator}): {result.fault}")
    reasons = Counter((result.operator, result.outside) for result in results if result.outside is not None)
    if outside:
        for result in results:
            if result.outside is not None:
                print(f"outside: {result.name} ({result.operator}): {result.outside}")
    else:
        for (operator, reason), count in sorted(reasons.items()):
            print(f"outside: {count} of {operator}: {reason}")
    others = Counter(case.operator for case in unclaimed)
    print(f"operators that the table does not claim: {len(others)}, {sum(others.values())} cases")
    print("  " + ", ".join(f"{name} {count}" for name, count in sorted(others.items())))


def main() -> int:
    """Run the cases and print. Exit code 1 when a case in scope fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operator", action="append", help="only this ONNX operator type; may be repeated")
    parser.add_argument("--failing", action="store_true", help="print only the failing cases")
    parser.add_argument("--outside", action="store_true", help="name every case outside the scope")
    parser.add_argument("--json", action="store_true", help="one JSON object per case")
    options = parser.parse_args()
    cases = node_cases()
    if options.operator:
        cases = [case for case in cases if case.operator in options.operator]
    results = outcomes(cases)
    failing = [result for result in results if result.fault]
    if options.json:
        for result in results:
            print(json.dumps(vars(result)))
    elif options.failing:
        for result in failing:
            print(f"{result.name} ({result.operator}): {result.fault}")
    else:
        print_table(results, [case for case in cases if case.operator not in READERS], outside=options.outside)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
