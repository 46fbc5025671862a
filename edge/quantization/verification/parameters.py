"""Check 1: scale and zero point of every tensor are the same numbers in every file of the artifact."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edge.evaluation.verdict import Finding
from edge.graph.graph import Graph, Tensor

if TYPE_CHECKING:
    from edge.quantization.verification.subject import Subject

INT8_TO_UINT8 = 128


def check_parameters(subject: "Subject") -> list[Finding]:
    """Compare every quantized tensor of each file with the source's of the same name, bit for bit.

    An activation that is uint8 in one file and int8 in the other has its zero point shifted by 128. The integers of
    constants are compared as well, whatever their order (layouts differ; check 2 sees their order). Nothing to do for
    a float artifact.
    """
    if not subject.is_integer:
        return [] if subject.artifact.manifest.precision == "float32" else [_another_tools(subject)]
    source = subject.graphs[subject.source.path]
    return [
        _finding(file.path, subject.source.path, source, subject.graphs[file.path])
        for file in subject.artifact.manifest.files
        if file.path != subject.source.path
    ]


def _another_tools(subject: "Subject") -> Finding:
    """The integers were chosen by the tool that wrote the file: there is nothing to compare them with."""
    method = subject.artifact.manifest.quantization.method
    detail = f"{method}: scales and integers are that tool's own; the source has none to compare with"
    return Finding(check="parameters", subject=subject.run_files[0].path, passed=None, detail=detail, data={})


def _finding(name: str, source_name: str, source: Graph, graph: Graph) -> Finding:
    expected, found = quantized_tensors(source), quantized_tensors(graph)
    shared = sorted(expected.keys() & found.keys())
    wrong = [problem for tensor in shared for problem in tensor_problems(expected[tensor], found[tensor])]
    missing = [tensor for tensor in activations(source) if tensor not in found]
    first = next((tensor for tensor in shared if any(tensor_problems(expected[tensor], found[tensor]))), None)
    tensor = first or next(iter(missing), None)
    data = {"tensors": len(shared), "differing": len(wrong), "missing": len(missing), "tensor": tensor}
    subject = f"{name} and {source_name}"
    if wrong or missing:
        detail = wrong[0] if wrong else f"activation '{missing[0]}' is not in {name} (and {len(missing) - 1} more)"
        return Finding(check="parameters", subject=subject, passed=False, detail=detail, data=data)
    detail = f"scale, zero point and constants of {len(shared)} tensors identical"
    return Finding(check="parameters", subject=subject, passed=True, detail=detail, data=data)


def activations(graph: Graph) -> Iterator[str]:
    """Names of the quantized activations that operators write."""
    for operator in graph.operators:
        for name in operator.outputs:
            if graph.tensors[name].quantization is not None:
                yield name


def quantized_tensors(graph: Graph) -> dict[str, Tensor]:
    """Every tensor with parameters that an operator touches, by name."""
    used = {name for operator in graph.operators for name in (*operator.inputs, *operator.outputs)}
    return {name: tensor for name, tensor in graph.tensors.items() if tensor.quantization is not None and name in used}


def tensor_problems(expected: Tensor, found: Tensor) -> Iterator[str]:
    """What differs between two tensors that should carry the same quantization; nothing if nothing does."""
    first, second = expected.quantization, found.quantization
    assert first is not None and second is not None
    if not np.array_equal(first.scale, second.scale):
        yield f"'{expected.name}': scale {first.scale[0]!r} in the source, {second.scale[0]!r} here"
    shift = {("int8", "uint8"): INT8_TO_UINT8, ("uint8", "int8"): -INT8_TO_UINT8}.get((expected.dtype, found.dtype), 0)
    if not np.array_equal(first.zero_point + shift, second.zero_point):
        yield f"'{expected.name}': zero point {first.zero_point[0]} in the source, {second.zero_point[0]} here"
    if expected.data is not None and found.data is not None:
        here = found.data.astype(np.int64) - shift
        if here.size != expected.data.size or not np.array_equal(
            np.sort(here, axis=None), np.sort(expected.data.astype(np.int64), axis=None)
        ):
            yield f"constant '{expected.name}': its integers differ from the source's"
