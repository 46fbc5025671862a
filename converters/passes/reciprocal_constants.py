"""Division by a float constant as a product: integer kernels have one, and float kernels a faster one."""

from dataclasses import replace

import numpy as np

from edge.graph.graph import Graph, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild


def reciprocal_constants(graph: Graph) -> Graph:
    """Replace every Div by a float32 constant with a Mul by its reciprocals, computed in float64 and rounded once.

    Requires: nothing.
    Ensures: same outputs up to one float32 rounding. A constant that holds a 0, or whose reciprocals leave the normal
    range of float32, stays a divisor.
    """
    tensors = dict(graph.tensors)
    operators = []
    for operator in graph.operators:
        divisor = tensors[operator.inputs[1]] if operator.kind == "Div" else None
        if divisor is None or divisor.data is None or divisor.dtype != "float32":
            operators.append(operator)
            continue
        with np.errstate(all="ignore"):
            factors = (1.0 / divisor.data.astype(np.float64)).astype(np.float32)
        limits = np.finfo(np.float32)
        if not (np.isfinite(factors) & (np.abs(factors) >= limits.tiny)).all():
            operators.append(operator)
            continue
        name = fresh_name(f"{divisor.name}/reciprocal", tensors)
        tensors[name] = Tensor(name=name, shape=factors.shape, dtype="float32", data=factors)
        operators.append(replace(operator, kind="Mul", inputs=(operator.inputs[0], name)))
    return rebuild(graph, operators, tensors)
