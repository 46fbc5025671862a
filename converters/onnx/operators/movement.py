"""Operators that move values: Concat, Pad, Reshape, Transpose, Slice."""

import numpy as np

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import computed, reals
from edge.graph.graph import Operator


def concat(out: Builder, operator: Operator) -> None:
    """Concat."""
    computed(out, operator, "Concat", reals(out, operator), axis=operator.attributes["axis"])


def pad(out: Builder, operator: Operator) -> None:
    """Pad with a constant."""
    before, after = zip(*operator.attributes["pads"], strict=True)
    pads = out.constant(f"{operator.outputs[0]}/pads", np.array([*before, *after], np.int64))
    value = out.scalar(operator.attributes["value"])
    computed(out, operator, "Pad", (*reals(out, operator), pads, value), mode="constant")


def reshape(out: Builder, operator: Operator) -> None:
    """Reshape to a constant shape."""
    shape = out.constant(f"{operator.outputs[0]}/shape", np.array(operator.attributes["shape"], np.int64))
    computed(out, operator, "Reshape", (*reals(out, operator), shape))


def transpose(out: Builder, operator: Operator) -> None:
    """Transpose."""
    computed(out, operator, "Transpose", reals(out, operator), perm=operator.attributes["perm"])


def slice_(out: Builder, operator: Operator) -> None:
    """Slice with constant limits."""
    given, name = operator.attributes, operator.outputs[0]
    sizes = out.graph.tensors[operator.inputs[0]].shape
    # Going backwards, an end of -1 is the place before the first value; ONNX would count it from the end.
    ends = [end if end >= 0 else -size - 1 for end, size in zip(given["end"], sizes, strict=True)]
    limits = [
        out.constant(f"{name}/begin", np.array(given["begin"], np.int64)),
        out.constant(f"{name}/end", np.array(ends, np.int64)),
        out.constant(f"{name}/axes", np.arange(len(given["begin"]), dtype=np.int64)),
        out.constant(f"{name}/strides", np.array(given["strides"], np.int64)),
    ]
    computed(out, operator, "Slice", (*reals(out, operator), *limits))
