"""One node over real values: what most writers come down to."""

from collections.abc import Callable
from typing import Any

from converters.onnx.operators.builder import Builder
from edge.graph.graph import Operator

Writer = Callable[[Builder, Operator], None]


def computed(out: Builder, operator: Operator, kind: str, inputs: tuple[str, ...], **attributes: Any) -> None:
    """One node over real values, with the rectifier and the QuantizeLinear that its output needs."""
    out.node(kind, inputs, (out.result(operator),), operator.name, **attributes)
    out.finish(operator)


def reals(out: Builder, operator: Operator) -> tuple[str, ...]:
    """The real values of the operator's inputs, without absent ones at the end."""
    names = [out.real(name) for name in operator.inputs]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def same_name(out: Builder, operator: Operator) -> None:
    """An operator that ONNX calls as we do and that has no attributes."""
    computed(out, operator, operator.kind, reals(out, operator))
