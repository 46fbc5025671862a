"""Fuse a rectifier into the operator before it, where nothing else reads that operator's result."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator

FUSING: frozenset[str] = frozenset({"Conv", "Gemm", "Add", "Sub", "Mul"})


def fuse_activations(graph: Graph) -> Graph:
    """Turn Conv, Gemm, Add, Sub or Mul followed by Relu, Relu6 or Clip(0, 6) into one operator with an activation.

    The fused operator keeps its name and writes the rectifier's tensor. A rectifier after anything else, or after a
    result that is read twice or is an output of the graph, stays.
    """
    reads: dict[str, int] = {}
    for operator in graph.operators:
        for name in operator.inputs:
            reads[name] = reads.get(name, 0) + 1
    for name in graph.outputs:
        reads[name] = reads.get(name, 0) + 1
    kept: dict[str, Operator] = {}
    producer: dict[str, str] = {}
    gone: set[str] = set()
    for operator in graph.operators:
        activation = rectifier(operator)
        before = kept.get(producer.get(operator.inputs[0], "")) if operator.inputs else None
        if (
            activation is not None
            and before is not None
            and before.kind in FUSING
            and before.attributes["activation"] == "none"
            and reads[operator.inputs[0]] == 1
        ):
            kept[before.name] = replace(
                before, outputs=operator.outputs, attributes={**before.attributes, "activation": activation}
            )
            producer[operator.outputs[0]] = before.name
            gone.add(operator.inputs[0])
            continue
        kept[operator.name] = operator
        producer.update(dict.fromkeys(operator.outputs, operator.name))
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in gone}
    return replace(graph, operators=tuple(kept.values()), tensors=tensors)


def rectifier(operator: Operator) -> str | None:
    """`relu` or `relu6` if the operator is nothing but that, otherwise None."""
    if operator.kind == "Clip":
        bounds = (operator.attributes["min"], operator.attributes["max"])
        if bounds == (0.0, 6.0):
            return "relu6"
        return "relu" if bounds[0] == 0.0 and bounds[1] in (None, float("inf")) else None
    return {"Relu": "relu", "Relu6": "relu6"}.get(operator.kind)
