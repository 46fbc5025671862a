"""Which operators of an integer graph would still compute in floating point: refused unless allowed by name."""

from collections.abc import Collection

from edge.errors import UnsupportedError, UsageError, unknown_name
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import KINDS, Graph, Operator
from edge.graph.importers.onnx.operators.table import READERS
from edge.graph.ops.integer_form import integer_fault


def require_integer_only(graph: Graph, *, allowed: Collection[str] = ()) -> None:
    """Refuse (UnsupportedError) a graph with float operators, naming each.

    A Quantize or Dequantize is named only at the model's own inputs and outputs: beside a float operator it comes with
    it. The message says why an operator has no integer form, where that is known.

    Args:
        allowed: kinds, source names or operator names that may stay in float; see `--allow-float`.

    Raises:
        UnsupportedError: operators that would stay in float.
        UsageError: an allowed name that is neither a kind nor an operator of this graph.
    """
    _refuse_unknown(graph, allowed)
    left = [
        operator
        for operator in float_operators(graph)
        if not _comes_along(graph, operator) and not {operator.kind, operator.source, operator.name} & set(allowed)
    ]
    if not left:
        return
    said = ", ".join(f"{operator.kind} ({operator.name}{_reason(graph, operator)})" for operator in left)
    kinds = ",".join(dict.fromkeys(operator.kind for operator in left))
    count = "1 operator would" if len(left) == 1 else f"{len(left)} operators would"
    them = "it" if len(left) == 1 else "them"
    raise UnsupportedError(f"{count} stay in float: {said}; allow {them} with --allow-float {kinds}")


def _refuse_unknown(graph: Graph, allowed: Collection[str]) -> None:
    names = {name for operator in graph.operators for name in (operator.kind, operator.source, operator.name)}
    kinds = {*KINDS, *READERS}
    for name in allowed:
        if name not in kinds and name not in names:
            raise UsageError(f"--allow-float: {unknown_name('operator', name, kinds)}")


def _comes_along(graph: Graph, operator: Operator) -> bool:
    """Whether an operator only changes numbers for a float operator beside it."""
    if operator.kind == "Quantize":
        return operator.inputs[0] not in graph.inputs
    return operator.kind == "Dequantize" and operator.outputs[0] not in graph.outputs


def _reason(graph: Graph, operator: Operator) -> str:
    """Why an operator between Dequantize and Quantize has no integer form, after a colon; '' where that is not why."""
    if operator.reason:
        return f": {operator.reason}"
    tensors = dict(graph.tensors)
    for name in operator.inputs:
        producer = graph.producer(name) if name else None
        if producer is not None and producer.kind == "Dequantize":
            tensors[name] = graph.tensors[producer.inputs[0]]
    readers = graph.consumers(operator.outputs[0])
    if len(readers) == 1 and readers[0].kind == "Quantize":
        tensors[operator.outputs[0]] = graph.tensors[readers[0].outputs[0]]
    inputs = [tensors[name] for name in operator.inputs if name and tensors[name].data is None]
    if any(tensor.quantization is None for tensor in (*inputs, tensors[operator.outputs[0]])):
        return ""
    fault = integer_fault(operator, tensors)
    return f": {fault}" if fault else ""
