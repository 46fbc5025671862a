"""Which operators of an integer graph would still compute in floating point: refused unless allowed by name."""

from collections.abc import Collection

import numpy as np

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator


def float_operators(graph: Graph) -> list[Operator]:
    """The operators that read or write a float tensor, constants included, in order.

    Quantize and Dequantize are among them where they touch a float tensor: a graph whose inputs and outputs are
    integers has none.
    """
    return [operator for operator in graph.operators if _touches_float(graph, operator)]


def require_integer_only(graph: Graph, *, allowed: Collection[str] = ()) -> None:
    """Refuse (UnsupportedError) a graph with float operators, naming each.

    Args:
        allowed: kinds, source names or operator names that may stay in float; see `--allow-float`.
    """
    left = [
        operator
        for operator in float_operators(graph)
        if not {operator.kind, operator.source, operator.name} & set(allowed)
    ]
    if not left:
        return
    said = ", ".join(f"{operator.kind} ({operator.name})" for operator in left)
    kinds = ",".join(dict.fromkeys(operator.kind for operator in left))
    count = "1 operator would" if len(left) == 1 else f"{len(left)} operators would"
    them = "it" if len(left) == 1 else "them"
    raise UnsupportedError(f"{count} stay in float: {said}; allow {them} with --allow-float {kinds}")


def _touches_float(graph: Graph, operator: Operator) -> bool:
    names = [name for name in (*operator.inputs, *operator.outputs) if name]
    return any(np.issubdtype(np.dtype(graph.tensors[name].dtype), np.floating) for name in names)
