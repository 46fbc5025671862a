"""Recognizing an integer Resize written out with its rounding: Cast, Resize, Add 0.5, Cast."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator
from edge.graph.rewrite import rebuild


def fuse_half_up(graph: Graph) -> Graph:
    """Turn a linear Resize of integers as floats, rounded half up, into the one Resize over integers that it computes.

    `converters.onnxruntime_form` writes it so, because ONNX Runtime's integer Resize may truncate.

    Requires: nothing.
    Ensures: the same integers.
    """
    makers = {name: operator for operator in graph.operators for name in operator.outputs}
    operators = []
    for operator in graph.operators:
        resize = _rounded_resize(graph, makers, operator)
        if resize is not None:
            integers = makers[resize.inputs[0]].inputs[0]
            operator = replace(resize, inputs=(integers,), outputs=operator.outputs)
        operators.append(operator)
    return rebuild(graph, operators)


def _rounded_resize(graph: Graph, makers: dict[str, Operator], last: Operator) -> Operator | None:
    """The Resize in the middle, if these are the four operators, from unsigned integers to the same type."""
    if last.kind != "Cast" or graph.tensors[last.outputs[0]].dtype != "uint8":
        return None
    half = makers.get(last.inputs[0])
    if half is None or half.kind != "Add" or half.attributes["activation"] != "none":
        return None
    addend = graph.tensors[half.inputs[1]].data
    resize = makers.get(half.inputs[0])
    if addend is None or addend.size != 1 or float(addend.reshape(())) != 0.5:
        return None
    if resize is None or resize.kind != "Resize" or resize.attributes["mode"] != "linear":
        return None
    first = makers.get(resize.inputs[0])
    if first is None or first.kind != "Cast" or graph.tensors[first.inputs[0]].dtype != "uint8":
        return None
    return resize
