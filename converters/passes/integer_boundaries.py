"""Making integers the inputs and outputs of an integer model."""

from edge.graph.graph import Graph
from edge.graph.passes.rewrite import rebuild


def integer_boundaries(graph: Graph) -> Graph:
    """Drop the Quantize of a float input and the Dequantize of a float output: the caller handles the integers.

    Requires: nothing.
    Ensures: the same integers inside. An input that several operators read, and an output that others read too, stay.
    """
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    dropped: set[str] = set()
    for operator in graph.operators:
        source, target = (operator.inputs[0] if operator.inputs else ""), operator.outputs[0]
        is_boundary = source in inputs and graph.tensors[source].quantization is None
        if operator.kind == "Quantize" and is_boundary and len(graph.consumers(source)) == 1:
            if source in outputs or target in outputs:
                continue
            inputs[inputs.index(source)] = target
            dropped.add(operator.name)
    for operator in graph.operators:
        if operator.kind != "Dequantize" or operator.name in dropped or operator.outputs[0] not in outputs:
            continue
        source, target = operator.inputs[0], operator.outputs[0]
        if graph.consumers(target) or source in inputs or source in outputs:
            continue
        outputs[outputs.index(target)] = source
        dropped.add(operator.name)
    kept = [operator for operator in graph.operators if operator.name not in dropped]
    return rebuild(graph, kept, inputs=tuple(inputs), outputs=tuple(outputs))
