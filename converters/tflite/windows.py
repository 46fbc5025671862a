"""How a sliding window's pads become TFLite's SAME or VALID, or a PAD operator in front where neither says it."""

from collections.abc import Sequence

import numpy as np

from converters.tflite.file_builder import FileBuilder
from edge.errors import UnsupportedError
from edge.graph.graph import Operator
from edge.graph.ops.padding import PadsHw, same_pads, window_output_hw

NO_PADS: PadsHw = (0, 0, 0, 0)


def padding_name(
    builder: FileBuilder, operator: Operator, kernel_hw: Sequence[int], dilations: Sequence[int] = (1, 1)
) -> str | None:
    """`SAME` or `VALID` when that says exactly the operator's pads, None when a PAD operator has to.

    Refuses (UnsupportedError) a graph whose output size is not the one that window, strides and pads give.
    """
    size_hw = builder.shape(operator.inputs[0])[1:3]
    strides, pads = operator.attributes["strides"], tuple(operator.attributes["pads"])
    expected = window_output_hw(size_hw, kernel_hw, strides, dilations, pads)
    found = tuple(builder.shape(operator.outputs[0])[1:3])
    if found != expected:
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': output size {found} where window and pads give {expected} (nhwc)"
        )
    if pads == same_pads(size_hw, kernel_hw, strides, dilations):
        return "SAME"
    return "VALID" if pads == NO_PADS else None


def write_pad(builder: FileBuilder, operator: Operator) -> int:
    """Write a PAD of zeros (the zero point, when quantized) for the operator's pads; the index of the padded input."""
    tensor = builder.graph.tensors[operator.inputs[0]]
    top, left, bottom, right = operator.attributes["pads"]
    batch, height, width, channels = tensor.shape
    shape = (batch, height + top + bottom, width + left + right, channels)
    pads = np.array([(0, 0), (top, bottom), (left, right), (0, 0)], np.int32)
    padded = builder.activation(operator, "padded", tensor, shape)
    inputs = [builder.tensor(tensor.name), builder.constant(operator, "pads", pads)]
    builder.operator("PAD", inputs, [padded], version=2 if tensor.dtype == "int8" else 1, options="PadOptions")
    return padded


def padded_input(
    builder: FileBuilder, operator: Operator, kernel_hw: Sequence[int], dilations: Sequence[int] = (1, 1)
) -> tuple[int, int]:
    """The input's index, after a PAD where one is needed, and the schema's number of the padding to state."""
    name = padding_name(builder, operator, kernel_hw, dilations)
    x = write_pad(builder, operator) if name is None else builder.tensor(operator.inputs[0])
    return x, int(getattr(builder.schema.Padding, name or "VALID"))
