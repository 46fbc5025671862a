"""Folding a zero Pad into the convolutions that read it."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator
from edge.graph.passes.rewrite import rebuild


def fold_pad(graph: Graph) -> Graph:
    """Let a Conv that reads a zero Pad of the two spatial axes pad by itself.

    Requires: an NCHW graph.
    Ensures: the same outputs; over integers only where the Pad keeps the parameters (it pads with the zero point,
    as Conv does). A Pad that other operators read too stays for them.
    """
    pads: dict[str, Operator] = {}
    operators = []
    for operator in graph.operators:
        if operator.kind == "Pad" and _is_zero_border(graph, operator):
            pads[operator.outputs[0]] = operator
        before = pads.get(operator.inputs[0]) if operator.kind == "Conv" else None
        if before is not None:
            (top, bottom), (left, right) = before.attributes["pads"][2:]
            own = operator.attributes["pads"]
            total = (own[0] + top, own[1] + left, own[2] + bottom, own[3] + right)
            operator = replace(
                operator,
                inputs=(before.inputs[0], *operator.inputs[1:]),
                attributes={**operator.attributes, "pads": total},
            )
        operators.append(operator)
    return rebuild(graph, operators)


def _is_zero_border(graph: Graph, operator: Operator) -> bool:
    given = operator.attributes
    before, after = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    same = (
        before.quantization.same_as(after.quantization)
        if before.quantization is not None
        else after.quantization is None
    )
    return len(before.shape) == 4 and given["value"] == 0 and given["pads"][:2] == ((0, 0), (0, 0)) and same
