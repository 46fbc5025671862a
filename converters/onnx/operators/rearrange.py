"""Operators that rearrange or repeat values: ReflectPad, Gather, DepthToSpace, SpaceToDepth, Tile, Expand, Cast."""

import numpy as np

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import computed, reals
from edge.graph.graph import Operator
from edge.graph.importers.onnx.parsing.file import ELEMENT_OF


def reflect_pad(out: Builder, operator: Operator) -> None:
    """Pad in mode reflect."""
    before, after = zip(*operator.attributes["pads"], strict=True)
    pads = out.constant(f"{operator.outputs[0]}/pads", np.array([*before, *after], np.int64))
    computed(out, operator, "Pad", (*reals(out, operator), pads), mode="reflect")


def gather(out: Builder, operator: Operator) -> None:
    """Gather along one axis."""
    computed(out, operator, "Gather", reals(out, operator), axis=operator.attributes["axis"])


def depth_to_space(out: Builder, operator: Operator) -> None:
    """DepthToSpace in either mode."""
    given = operator.attributes
    computed(out, operator, "DepthToSpace", reals(out, operator), blocksize=given["block"], mode=given["mode"])


def space_to_depth(out: Builder, operator: Operator) -> None:
    """SpaceToDepth."""
    computed(out, operator, "SpaceToDepth", reals(out, operator), blocksize=operator.attributes["block"])


def tile(out: Builder, operator: Operator) -> None:
    """Tile."""
    repeats = out.constant(f"{operator.outputs[0]}/repeats", np.array(operator.attributes["repeats"], np.int64))
    computed(out, operator, "Tile", (*reals(out, operator), repeats))


def expand(out: Builder, operator: Operator) -> None:
    """Expand to a constant shape."""
    shape = out.constant(f"{operator.outputs[0]}/shape", np.array(operator.attributes["shape"], np.int64))
    computed(out, operator, "Expand", (*reals(out, operator), shape))


def cast(out: Builder, operator: Operator) -> None:
    """Cast to the type of the output."""
    element = ELEMENT_OF[out.graph.tensors[operator.outputs[0]].dtype]
    computed(out, operator, "Cast", (out.raw(operator.inputs[0]),), to=element)
