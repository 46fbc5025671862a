"""Pools, means and resizing."""

from typing import Any

import numpy as np

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import computed, reals
from edge.errors import UnsupportedError
from edge.graph.graph import Operator
from edge.graph.importers.onnx.operators.resize import onnx_form


def pool_attributes(operator: Operator) -> dict[str, Any]:
    """Attributes of the AveragePool or MaxPool node."""
    given = operator.attributes
    attributes = {"kernel_shape": given["kernel"], "strides": given["strides"], "pads": given["pads"]}
    if given.get("count_include_pad"):
        attributes["count_include_pad"] = 1
    return attributes


def pool(out: Builder, operator: Operator) -> None:
    """AveragePool and MaxPool."""
    computed(out, operator, operator.kind, reals(out, operator), **pool_attributes(operator))


def mean(out: Builder, operator: Operator) -> None:
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
    return {"mode": given["mode"], "coordinate_transformation_mode": given["coordinates"]}


def resize_sizes(out: Builder, operator: Operator) -> str:
    """The Resize node's input of output sizes (n, c, h, w)."""
    name = operator.outputs[0]
    return out.constant(f"{name}/sizes", np.array(out.graph.tensors[name].shape, np.int64))


def resize(out: Builder, operator: Operator) -> None:
    """Resize to stated sizes; a nearest one by scales where only those take the pixels of TFLite's kernel.

    Refuses (UnsupportedError) a nearest resize that no ONNX Resize computes.
    """
    attributes, name = resize_attributes(operator), operator.outputs[0]
    inputs = (*reals(out, operator), "", "")
    if operator.attributes["mode"] == "nearest":
        before, after = (out.graph.tensors[tensor].shape for tensor in (operator.inputs[0], name))
        try:
            attributes["nearest_mode"], scales = onnx_form(before, after, operator.attributes["coordinates"])
        except UnsupportedError as error:
            raise UnsupportedError(f"Resize '{operator.name}': {error}") from error
        stated = np.array(scales, np.float32)
        if not np.array_equal(stated, np.array(after, np.float32) / np.array(before, np.float32)):
            inputs = (*inputs[:-1], out.constant(f"{name}/scales", stated))
            computed(out, operator, "Resize", inputs, **attributes)
            return
    computed(out, operator, "Resize", (*inputs, resize_sizes(out, operator)), **attributes)
