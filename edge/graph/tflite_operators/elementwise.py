"""Arithmetic, activations, softmax, ArgMax, and every operator that says nothing but its name."""

from collections.abc import Callable
from typing import Any

from edge.graph.tflite_operators.site import Reading, Site, axis_of


def binary(kind: str) -> Callable[[Site], Reading | None]:
    """ADD, SUB, MUL: two inputs and a fused activation."""

    def read(site: Site) -> Reading | None:
        activation = site.activation()
        if activation is None:
            return None
        site.input(1)
        return Reading(kind=kind, attributes={"activation": activation}, inputs=(0, 1))

    return read


def softmax(site: Site) -> Reading | None:
    """SOFTMAX with beta 1, over the last axis."""
    if site.options is None or site.options.Beta() != 1.0:
        return None
    return Reading(kind="Softmax", attributes={"axis": len(site.x.shape) - 1})


def arg_max(site: Site) -> Reading | None:
    """ARG_MAX over a constant axis."""
    axis = site.integers(1)
    if axis is None or len(axis) != 1:
        return None
    return Reading(kind="ArgMax", attributes={"axis": axis_of(axis[0], len(site.x.shape)), "keepdims": False})


def plain(kind: str, **attributes: Any) -> Callable[[Site], Reading | None]:
    """An operator that its name says completely."""

    def read(site: Site) -> Reading:
        return Reading(kind=kind, attributes=attributes)

    return read
