"""What can be said about every operator and tensor of a graph, as plain data for a table or for JSON."""

from typing import Any

from edge.graph.analyses.arena import arena_bytes
from edge.graph.analyses.counts import GraphCost, OperatorCost
from edge.graph.graph import Graph, Operator, Quantization, Tensor


def operator_entry(graph: Graph, operator: Operator, cost: OperatorCost) -> dict[str, Any]:
    """One operator: its kind and attributes, its tensors with their quantization, and its counts."""
    return {
        "name": operator.name,
        "kind": operator.kind,
        "source": operator.source,
        "attributes": dict(operator.attributes),
        "inputs": [_tensor_entry(graph.tensors[name]) if name else None for name in operator.inputs],
        "outputs": [_tensor_entry(graph.tensors[name]) for name in operator.outputs],
        "multiply_adds": cost.multiply_adds,
        "parameters": cost.parameters,
        "weights_bytes": cost.weights_bytes,
        "activation_bytes": cost.activation_bytes,
        "moved_bytes": cost.moved_bytes,
        "intensity": cost.intensity,
    }


def total_entry(graph: Graph, cost: GraphCost, file_format: str) -> dict[str, Any]:
    """The graph as a whole: inputs, outputs and totals; `arena_bytes`: of a TFLite file, else None."""
    return {
        "name": graph.name,
        "layout": graph.layout,
        "inputs": [_tensor_entry(graph.tensors[name]) for name in graph.inputs],
        "outputs": [_tensor_entry(graph.tensors[name]) for name in graph.outputs],
        "operators": len(graph.operators),
        "multiply_adds": cost.multiply_adds,
        "parameters": cost.parameters,
        "weights_bytes": cost.weights_bytes,
        "peak_activation_bytes": cost.peak_activation_bytes,
        "arena_bytes": arena_bytes(graph) if file_format == "tflite" else None,
        "unruled": list(cost.unruled),
        "transposes": transposes(graph),
        "notes": list(graph.notes),
    }


def transposes(graph: Graph) -> list[dict[str, Any]]:
    """The operators that only move values from one axis order to another: name, perm, shape and bytes moved."""
    found = []
    for operator in graph.operators:
        if operator.kind == "Transpose":
            tensor = graph.tensors[operator.outputs[0]]
            perm = list(operator.attributes["perm"])
            found.append(
                {"name": operator.name, "perm": perm, "shape": list(tensor.shape), "size_bytes": tensor.size_bytes}
            )
    return found


def _tensor_entry(tensor: Tensor) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "constant": tensor.data is not None,
    }
    if tensor.quantization is not None:
        entry |= _parameters(tensor.quantization)
    return entry


def _parameters(quantization: Quantization) -> dict[str, Any]:
    if quantization.axis is None:
        return {"scale": float(quantization.scale[0]), "zero_point": int(quantization.zero_point[0])}
    return {
        "scale": [float(scale) for scale in quantization.scale],
        "zero_point": [int(zero_point) for zero_point in quantization.zero_point],
        "axis": quantization.axis,
    }
