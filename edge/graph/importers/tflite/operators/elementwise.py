"""Arithmetic, activations, softmax, ArgMax, and every operator that says nothing but its name."""

from collections.abc import Callable
from typing import Any

from edge.graph.importers.tflite.operators.site import Reading, Site, axis_of


def binary(kind: str) -> Callable[[Site], Reading | None]:
    """ADD, SUB, MUL, DIV: two inputs and a fused activation."""

    def read(site: Site) -> Reading | None:
        activation = site.activation()
        if activation is None:
            return None
        site.input(1)
        return Reading(kind=kind, attributes={"activation": activation}, inputs=(0, 1))

    return read


def moving(kind: str) -> Callable[[Site], Reading | None]:
    """MINIMUM, MAXIMUM, POW: two operands, nothing fused."""

    def read(site: Site) -> Reading:
        site.input(1)
        return Reading(kind=kind, attributes={}, inputs=(0, 1))

    return read


def p_relu(site: Site) -> Reading | None:
    """PRELU with a constant slope."""
    return None if site.input(1).data is None else Reading(kind="PRelu", attributes={}, inputs=(0, 1))


def leaky_relu(site: Site) -> Reading | None:
    """LEAKY_RELU."""
    if site.options is None:
        return None
    return Reading(kind="LeakyRelu", attributes={"alpha": float(site.options.Alpha())})


def gelu(site: Site) -> Reading | None:
    """GELU, by erf unless the file says tanh."""
    approximate = site.options is not None and bool(site.options.Approximate())
    return Reading(kind="Gelu", attributes={"approximate": approximate})


def along_last_axis(kind: str, **attributes: float) -> Callable[[Site], Reading | None]:
    """LOG_SOFTMAX and L2_NORMALIZATION."""

    def read(site: Site) -> Reading | None:
        if not site.x.shape or (site.options is not None and kind == "L2Norm" and site.activation() != "none"):
            return None
        return Reading(kind=kind, attributes={"axis": len(site.x.shape) - 1, **attributes})

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


def float_only(kind: str) -> Callable[[Site], Reading | None]:
    """An operator that means the kind over floats alone: TFLite's NEG of integers ignores the zero point."""

    def read(site: Site) -> Reading | None:
        return Reading(kind=kind, attributes={}) if site.x.dtype == "float32" else None

    return read


def plain(kind: str, **attributes: Any) -> Callable[[Site], Reading | None]:
    """An operator that its name says completely."""

    def read(site: Site) -> Reading:
        return Reading(kind=kind, attributes=attributes)

    return read
