"""Giving every layer its own weight and bias: exporters write equal constants once."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator
from edge.graph.passes.rewrite import fresh_name, rebuild

LAYERS = ("Conv", "ConvTranspose", "Gemm")


def unshare_constants(graph: Graph) -> Graph:
    """Copy a weight or bias that several layers read: `NAME_2`, `NAME_3`, ... for the later ones.

    Requires: nothing.
    Ensures: no two of them read the same constant (a layer's integers depend on its input's scale); same outputs.
    """
    tensors = dict(graph.tensors)
    taken: set[str] = set()
    operators: list[Operator] = []
    for operator in graph.operators:
        if operator.kind in LAYERS:
            inputs = [operator.inputs[0]]
            for name in operator.inputs[1:]:
                if name and name in taken and tensors[name].data is not None:
                    copy = fresh_name(name, tensors)
                    tensors[copy] = replace(tensors[name], name=copy)
                    name = copy
                taken.add(name)
                inputs.append(name)
            operator = replace(operator, inputs=tuple(inputs))
        operators.append(operator)
    return rebuild(graph, operators, tensors)
