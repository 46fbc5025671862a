"""Check 3: each operator of a file alone, given the reference's inputs, against the reference's output."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.model_file import ModelFile
from edge.artifact.verdict import Finding
from edge.engines.engine import Session
from edge.engines.table import known_kernels
from edge.evaluation.fidelity import integer_difference
from edge.execution.integer import IntegerSimulation
from edge.files.leftovers import temporary_folder
from edge.graph.graph import Graph, Operator
from edge.graph.importers.onnx.extract import OnnxExtractor
from edge.graph.importers.tflite.extract import TfliteExtractor
from edge.graph.importers.tflite.file_operators import file_operators
from edge.verification.checks.operator_kinds import OperatorResult, by_kind
from edge.verification.checks.parameters import INT8_TO_UINT8
from edge.verification.checks.runtimes import Runtime
from edge.verification.checks.subject import Subject

Array = npt.NDArray[Any]
Activations = Mapping[str, Array]


def allowed_quanta(runtime: Runtime) -> int:
    """The largest difference that one operator may show: 0 for LiteRT's default kernels on x86-64, 1 elsewhere.

    The formulas are those of XNNPACK on x86-64, and of the built-in kernels where XNNPACK leaves an operator to them.
    """
    info = runtime.session.info
    return 0 if info.machine in known_kernels(info.engine, runtime.asked).exact_on else 1


def check_operators(
    subject: Subject,
    runtime: Runtime,
    given: Callable[[ModelFile], Array],
    advance: Callable[[int], None],
) -> tuple[Finding, list[OperatorResult]]:
    """Run every operator of one file alone on the reference's activations for some images.

    Args:
        given: a few inputs (n, ...), raw as a file of the subject takes them.
    """
    graph = subject.graphs[runtime.file.path]
    results: list[OperatorResult] = []
    skipped: list[str] = []
    raw = given(runtime.file if runtime.file.format == "tflite" else subject.source)
    each = [_activations(subject, runtime, graph, raw[index : index + 1]) for index in range(len(raw))]
    for operator, session in _sessions(subject, runtime, graph, skipped):
        result = OperatorResult(operator=operator, kernels=session.info.kernels)
        for activations in each:
            inputs = [activations[name] for name in _inputs(graph, operator)]
            for name, found in zip(operator.outputs, session.run(inputs), strict=True):
                result.difference += integer_difference(activations[name], found)
        results.append(result)
        advance(1)
    return _finding(runtime, results, skipped, allowed_quanta(runtime), len(raw)), results


def _activations(subject: Subject, runtime: Runtime, graph: Graph, raw: Array) -> Activations:
    """What the simulation computes, in the file's own layout and integers, by tensor name."""
    if runtime.file.format == "tflite":
        return IntegerSimulation(graph).run_all([raw.reshape(graph.tensors[graph.inputs[0]].shape)])
    assert isinstance(subject.reference, IntegerSimulation)
    values = subject.reference.run_all([raw])
    return {name: _in_dtype(value, graph, name) for name, value in values.items() if name in graph.tensors}


def _in_dtype(value: Array, graph: Graph, name: str) -> Array:
    if value.dtype == np.int8 and graph.tensors[name].dtype == "uint8":
        return (value.astype(np.int16) + INT8_TO_UINT8).astype(np.uint8)
    return value


def _inputs(graph: Graph, operator: Operator) -> list[str]:
    names = [name for name in dict.fromkeys(operator.inputs) if name]
    return [name for name in names if name not in graph.tensors or graph.tensors[name].data is None]


def _sessions(
    subject: Subject, runtime: Runtime, graph: Graph, skipped: list[str]
) -> Iterator[tuple[Operator, Session]]:
    """Each operator as a model of its own, opened; operators that are not integer throughout are named in `skipped`."""
    data = subject.artifact.file(runtime.file.path).read_bytes()
    extract = _extractor(data, graph, runtime.file.format)
    with temporary_folder() as folder:
        for index, operator in enumerate(_operators(subject, runtime)):
            names = [*_inputs(graph, operator), *operator.outputs]
            if any(name not in graph.tensors or graph.tensors[name].dtype.startswith("float") for name in names):
                skipped.append(f"{operator.kind} '{operator.name}'")
                continue
            path = Path(folder) / f"operator_{index}.{runtime.file.format}"
            path.write_bytes(extract(index, operator))
            yield operator, runtime.open(path)
            path.unlink()


def _operators(subject: Subject, runtime: Runtime) -> Sequence[Operator]:
    """The operators to run alone: those of a TFLite file; for an ONNX file the source's.

    Between the tensors of one operator of the source, the ONNX file may spell it out in several nodes.
    """
    if runtime.file.format == "tflite":
        return file_operators(subject.graphs[runtime.file.path])
    return subject.graphs[subject.source.path].operators


def _extractor(data: bytes, graph: Graph, form: str) -> Callable[[int, Operator], bytes]:
    if form == "tflite":
        tflite = TfliteExtractor(data)
        return lambda index, operator: tflite.extract(index)
    onnx = OnnxExtractor(data, graph)
    return lambda index, operator: onnx.extract(_inputs(graph, operator), operator.outputs)


def _finding(
    runtime: Runtime, results: Sequence[OperatorResult], skipped: Sequence[str], allowed: int, images: int
) -> Finding:
    kinds = by_kind(results)
    wrong = [result for result in results if result.difference.differing]
    largest = max((result.difference.largest for result in results), default=0)
    ran = Counter(result.kernels for result in results)
    data = {
        "operators": len(results),
        "operators_differing": len(wrong),
        "operators_skipped": list(skipped),
        "operators_by_kernels": dict(ran),
        "largest_quanta": largest,
        "allowed_quanta": allowed,
        "images": images,
        "machine": runtime.session.info.machine,
        "emulated": runtime.session.info.emulated,
        "kinds": [entry.data for entry in kinds],
        "differing": [
            {
                "operator": result.operator.name,
                "kind": result.operator.kind,
                "kernels": result.kernels,
                "values": result.difference.values,
                "differing": result.difference.differing,
                "largest_quanta": result.difference.largest,
            }
            for result in wrong
        ],
    }
    detail = f"{len(results) - len(wrong)} of {len(results)} operators exact with identical inputs"
    if len(ran) > 1:
        detail += f" ({', '.join(f'{count} {kernels}' for kernels, count in ran.most_common())})"
    if wrong:
        not_exact = [entry.words for entry in kinds if entry.differing]
        worst = max(wrong, key=lambda result: (result.difference.largest, result.difference.share))
        detail += f"; not exact: {'; '.join(not_exact)} (worst '{worst.operator.name}'; {allowed} quanta allowed)"
    if skipped:
        detail += f"; not compared: {', '.join(skipped[:3])}" + (f" and {len(skipped) - 3} more" * (len(skipped) > 3))
    # ONNX Runtime computes an int16 model in float between its roundings: a fact, not held to integer kernels.
    in_float = runtime.session.info.engine == "onnxruntime" and runtime.file.inputs[0].dtype == "int16"
    passed = None if in_float else largest <= allowed
    return Finding(check="operators", subject=runtime.name, passed=passed, detail=detail, data=data)
