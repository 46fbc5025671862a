"""Fusing: a bias add into its Gemm or Conv, and a rectifier into the operator before it."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import rebuild

FUSABLE = frozenset({"Conv", "ConvTranspose", "Gemm", "Add", "Sub", "Mul", "AveragePool", "MaxPool"})
ACTIVATION_OF = {"Relu": "relu", "Relu6": "relu6"}


def fuse_activations(graph: Graph) -> Graph:
    """Fuse Relu and Relu6 into the Conv, Gemm, Add, Sub, Mul or pool whose only reader they are.

    Requires: nothing.
    Ensures: same outputs. Over integers a rectifier is fused only if it does not change the parameters: the clamp then
    commutes with the rounding. The fused operator keeps its name and writes the rectifier's output.
    """
    operators: dict[str, Operator] = {}  # by the name of the first output
    readers = _reader_counts(graph)
    for operator in graph.operators:
        source, target = operator.inputs[0] if operator.inputs else "", operator.outputs[0]
        producer = operators.get(source)
        if (
            operator.kind in ACTIVATION_OF
            and producer is not None
            and producer.kind in FUSABLE
            and producer.attributes["activation"] == "none"
            and readers[source] == 1
            and _same_form(graph.tensors[source], graph.tensors[target])
        ):
            attributes = {**producer.attributes, "activation": ACTIVATION_OF[operator.kind]}
            operators.pop(source)
            operator = replace(producer, outputs=(target,), attributes=attributes)
        operators[target] = operator
    return rebuild(graph, operators.values())


def fuse_bias(graph: Graph) -> Graph:
    """Fuse the Add of a float (O,) constant into the Gemm without bias whose only reader it is (MatMul + Add).

    Requires: nothing.
    Ensures: same outputs; constants keep their names.
    """
    operators: list[Operator] = list(graph.operators)
    readers = _reader_counts(graph)
    for operator in graph.operators:
        if operator.kind != "Add" or operator.attributes["activation"] != "none":
            continue
        for source, addend in (operator.inputs, operator.inputs[::-1]):
            producer = next((entry for entry in operators if source in entry.outputs), None)
            bias = graph.tensors[addend]
            if (
                producer is not None
                and producer.kind == "Gemm"
                and (producer.inputs[2] == "" and producer.attributes["activation"] == "none")
                and (bias.data is not None and bias.shape == graph.tensors[source].shape[-1:])
                and readers[source] == 1
            ):
                fused = replace(producer, inputs=(*producer.inputs[:2], addend), outputs=operator.outputs)
                operators[operators.index(operator)] = fused
                operators.remove(producer)
                break
    return rebuild(graph, operators)


def _reader_counts(graph: Graph) -> dict[str, int]:
    counts = dict.fromkeys(graph.tensors, 0)
    for operator in graph.operators:
        for name in operator.inputs:
            if name:
                counts[name] += 1
    for name in graph.outputs:
        counts[name] += 1
    return counts


def _same_form(before: Tensor, after: Tensor) -> bool:
    """Whether both are float, or integers with the same parameters."""
    if before.quantization is None or after.quantization is None:
        return before.quantization is None and after.quantization is None and before.dtype == after.dtype
    return before.dtype == after.dtype and before.quantization.same_as(after.quantization)
