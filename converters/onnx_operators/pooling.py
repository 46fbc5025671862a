"""Pools, means and resizing."""

from typing import Any

import numpy as np

from converters.onnx_emitter import Emitter
from converters.onnx_operators.node import computed, reals
from edge.graph.graph import Operator

# canonical nearest rounding in ONNX's words (see edge.graph.onnx_operators.resize.kernel_indices)
NEAREST = {"half_pixel": "round_prefer_ceil", "asymmetric": "floor", "align_corners": "round_prefer_ceil"}


def pool_attributes(operator: Operator) -> dict[str, Any]:
    """Attributes of the AveragePool or MaxPool node."""
    given = operator.attributes
    attributes = {"kernel_shape": given["kernel"], "strides": given["strides"], "pads": given["pads"]}
    if given.get("count_include_pad"):
        attributes["count_include_pad"] = 1
    return attributes


def pool(out: Emitter, operator: Operator) -> None:
    """AveragePool and MaxPool."""
    computed(out, operator, operator.kind, reals(out, operator), **pool_attributes(operator))


def mean(out: Emitter, operator: Operator) -> None:
    """GlobalAveragePool where it is one, else ReduceMean."""
    given = operator.attributes
    rank = len(out.graph.tensors[operator.inputs[0]].shape)
    if rank > 2 and given["keepdims"] and given["axes"] == tuple(range(2, rank)):
        computed(out, operator, "GlobalAveragePool", reals(out, operator))
    else:
        keepdims = int(given["keepdims"])
        computed(out, operator, "ReduceMean", reals(out, operator), axes=given["axes"], keepdims=keepdims)


def resize_attributes(operator: Operator) -> dict[str, str]:
    """Attributes of the Resize node."""
    given = operator.attributes
    attributes = {"mode": given["mode"], "coordinate_transformation_mode": given["coordinates"]}
    if given["mode"] == "nearest":
        attributes["nearest_mode"] = NEAREST[given["coordinates"]]
    return attributes


def resize_sizes(out: Emitter, operator: Operator) -> str:
    """The Resize node's input of output sizes (n, c, h, w)."""
    name = operator.outputs[0]
    return out.constant(f"{name}/sizes", np.array(out.graph.tensors[name].shape, np.int64))


def resize(out: Emitter, operator: Operator) -> None:
    """Resize to stated sizes."""
    inputs = (*reals(out, operator), "", "", resize_sizes(out, operator))
    computed(out, operator, "Resize", inputs, **resize_attributes(operator))
