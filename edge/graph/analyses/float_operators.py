"""Which operators of a graph compute in floating point."""

import numpy as np

from edge.graph.graph import Graph, Operator


def float_operators(graph: Graph) -> list[Operator]:
    """The operators that read or write a float tensor, constants included, in order.

    Quantize and Dequantize are among them where they touch a float tensor: a graph whose inputs and outputs are
    integers has none.
    """
    return [operator for operator in graph.operators if _touches_float(graph, operator)]


def computes_in_float(graph: Graph) -> bool:
    """Whether any operator but a change of numbers, whose rounding is known, is in float: kernels may round otherwise.

    The order of a float sum is a kernel's own, and with it the integer that comes after.
    """
    return any(operator.kind not in ("Quantize", "Dequantize") for operator in float_operators(graph))


def _touches_float(graph: Graph, operator: Operator) -> bool:
    names = [name for name in (*operator.inputs, *operator.outputs) if name]
    return any(np.issubdtype(np.dtype(graph.tensors[name].dtype), np.floating) for name in names)
