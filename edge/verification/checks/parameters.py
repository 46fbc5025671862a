"""Check 1: scale and zero point of every tensor are the same numbers in every file of the artifact."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edge.artifact.verdict import Finding
from edge.graph.graph import Graph, Tensor

if TYPE_CHECKING:
    from edge.verification.checks.subject import Subject

INT8_TO_UINT8 = 128
REMOVABLE = frozenset({"Transpose", "Reshape"})


def check_parameters(subject: "Subject") -> list[Finding]:
    """Compare every quantized tensor of each file with the source's of the same name, bit for bit.

    An activation that the writer merged into the one it was moved from or to (see `same_values`) is compared with that.
    An activation that is uint8 in one file and int8 in the other has its zero point shifted by 128. The integers of
    constants are compared as well, whatever their order (layouts differ; check 2 sees their order). Nothing to do for
    a float artifact.
    """
    if not subject.is_integer:
        return [] if subject.artifact.manifest.precision == "float32" else [_another_tools(subject)]
    source = subject.graphs[subject.source.path]
    return [
        compared(file.path, subject.source.path, source, subject.graphs[file.path])
        for file in subject.files
        if file.path != subject.source.path
    ]


def _another_tools(subject: "Subject") -> Finding:
    """The integers were chosen by the tool that wrote the file: there is nothing to compare them with."""
    method = subject.artifact.manifest.quantization.method
    detail = f"{method}: scales and integers are that tool's own; the source has none to compare with"
    return Finding(check="parameters", subject=subject.run_files[0].path, passed=None, detail=detail, data={})


def compared(name: str, source_name: str, source: Graph, graph: Graph) -> Finding:
    """Whether the file `name` carries the quantization of the file `source_name`; the first tensor that does not."""
    expected, found = quantized_tensors(source), quantized_tensors(graph)
    pairs = {tensor: found[tensor] for tensor in sorted(expected.keys() & found.keys())}
    missing = []
    for tensor, others in same_values(source).items():
        here = next((other for other in (tensor, *others) if other in found), None)
        if here is None:
            missing.append(tensor)
        else:
            pairs[tensor] = found[here]
    faults = [(tensor, text) for tensor, pair in pairs.items() for text in tensor_problems(expected[tensor], pair)]
    wrong = [text for _, text in faults]
    at_fault = faults[0][0] if faults else next(iter(missing), None)
    data = {"tensors": len(pairs), "differing": len(wrong), "missing": len(missing), "tensor": at_fault}
    subject = f"{name} and {source_name}"
    if wrong or missing:
        detail = wrong[0] if wrong else f"activation '{missing[0]}' is not in {name} (and {len(missing) - 1} more)"
        return Finding(check="parameters", subject=subject, passed=False, detail=detail, data=data)
    detail = f"scale, zero point and constants of {len(pairs)} tensors identical"
    return Finding(check="parameters", subject=subject, passed=True, detail=detail, data=data)


def same_values(graph: Graph) -> dict[str, list[str]]:
    """Every quantized activation that an operator writes, and those that hold its values in another order or shape.

    A writer may omit an operator of REMOVABLE: what it wrote is then read from one of the others, which must have
    its parameters.
    """
    groups: dict[str, list[str]] = {name: [name] for name in graph.inputs}
    made = []
    for operator in graph.operators:
        for name in operator.outputs:
            if graph.tensors[name].quantization is None:
                continue
            group = groups.get(operator.inputs[0], []) if operator.kind in REMOVABLE else []
            group.append(name)
            groups[name] = group
            made.append(name)
    return {name: groups[name] for name in made}


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
