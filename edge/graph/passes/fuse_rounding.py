"""Recognizing integer operators that are written out with their rounding: floats between two Casts.

`converters.onnxruntime.form` writes a linear Resize and an average pool so, because ONNX Runtime's own integer kernels
round otherwise than the devices do.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from edge.graph.graph import Graph, Operator
from edge.graph.passes.rewrite import rebuild

# Moves a tie away from zero before rounding to even, and no other mean of fewer than 4096 integers of 8 bits.
AWAY_FROM_ZERO = 1 + 2.0**-20
Step = tuple[str, float | None]

# operator -> the steps that end in its integers, last one first, each with the constant that it adds or multiplies by
WRITTEN_OUT: Mapping[str, tuple[Step, ...]] = MappingProxyType(
    {
        # rounds half up
        "Resize": (("Cast", None), ("Add", 0.5), ("Resize", None), ("Cast", None)),
        # rounds half away from zero over int8, that is, over uint8 less 128
        "AveragePool": (
            ("Cast", None),
            ("Add", 128.0),
            ("Round", None),
            ("Mul", AWAY_FROM_ZERO),
            ("AveragePool", None),
            ("Add", -128.0),
            ("Cast", None),
        ),
    }
)


def fuse_rounding(graph: Graph) -> Graph:
    """Turn each written-out operator into the one operator over integers that it computes.

    Requires: nothing.
    Ensures: the same integers.
    """
    makers = {name: operator for operator in graph.operators for name in operator.outputs}
    operators = []
    for operator in graph.operators:
        for kind, steps in WRITTEN_OUT.items():
            found = _follow(graph, makers, operator, steps)
            if found:
                inner = next(entry for entry in found if entry.kind == kind)
                operator = replace(inner, inputs=found[-1].inputs, outputs=operator.outputs)
                break
        operators.append(operator)
    return rebuild(graph, operators)


def _follow(graph: Graph, makers: Mapping[str, Operator], last: Operator, steps: tuple[Step, ...]) -> list[Operator]:
    """The operators of these steps, last one first, from uint8 to uint8; empty if they are others."""
    found: list[Operator] = []
    current: Operator | None = last
    for kind, constant in steps:
        if current is None or current.kind != kind or current.attributes.get("activation", "none") != "none":
            return []
        if constant is not None and _constant(graph, current) != constant:
            return []
        if kind == "Resize" and current.attributes["mode"] != "linear":
            return []
        found.append(current)
        current = makers.get(current.inputs[0])
    ends = (graph.tensors[found[0].outputs[0]], graph.tensors[found[-1].inputs[0]])
    return found if all(tensor.dtype == "uint8" for tensor in ends) else []


def _constant(graph: Graph, operator: Operator) -> float | None:
    data = graph.tensors[operator.inputs[1]].data if len(operator.inputs) > 1 else None
    return None if data is None or data.size != 1 else float(data.reshape(()))
