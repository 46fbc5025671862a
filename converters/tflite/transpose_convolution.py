"""ConvTranspose -> TRANSPOSE_CONV (weights O,h,w,I), a SLICE behind it where its pads are neither SAME nor VALID."""

import numpy as np

from converters.tflite.convolution import bias_index
from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_weights
from edge.errors import UnsupportedError
from edge.graph.graph import Operator
from edge.graph.ops.padding import transposed_full_size, transposed_same_pads

FUSED_VERSION, BIAS_VERSION = 4, 3


def write_conv_transpose(builder: FileBuilder, operator: Operator) -> None:
    """Write a transposed convolution.

    Refuses (UnsupportedError) groups and dilations, which `converters.passes.legalize_conv_transpose` rewrites, and
    an output that reaches further than the windows do.
    """
    graph, given = builder.graph, operator.attributes
    weight, target = graph.tensors[operator.inputs[1]], graph.tensors[operator.outputs[0]]
    where = f"ConvTranspose '{operator.name}'"
    if weight.data is None or len(weight.shape) != 4:
        raise UnsupportedError(f"{where}: weight '{weight.name}' is not a constant of 4 axes")
    if given["group"] != 1 or tuple(given["dilations"]) != (1, 1):
        raise UnsupportedError(
            f"{where}: group {given['group']}, dilations {tuple(given['dilations'])}; TRANSPOSE_CONV has neither, "
            "legalize_conv_transpose rewrites them"
        )
    require_weights(graph, operator)
    size_hw, kernel_hw = builder.shape(operator.inputs[0])[1:3], weight.shape[2:]
    out_hw, starts = tuple(target.shape[1:3]), tuple(given["pads"][:2])
    full_hw = transposed_full_size(size_hw, kernel_hw, given["strides"], (1, 1))
    reach_hw = tuple(max(full, start + out) for full, start, out in zip(full_hw, starts, out_hw, strict=True))
    if any(reach - full >= step for reach, full, step in zip(reach_hw, full_hw, given["strides"], strict=True)):
        raise UnsupportedError(f"{where}: output {out_hw} reaches a stride past the last window ({full_hw}); pad after")
    padding, made_hw = "VALID", reach_hw
    if transposed_same_pads(size_hw, out_hw, kernel_hw, given["strides"]) == starts:
        padding, made_hw = "SAME", out_hw
    cut = made_hw != out_hw
    made_shape = (target.shape[0], *made_hw, target.shape[3])
    made = builder.activation(operator, "uncut", target, made_shape) if cut else builder.tensor(target.name)
    # (O, I, h, w) -> (O, h, w, I)
    filters = builder.rearranged(weight.name, "filters", weight.data.transpose(0, 2, 3, 1), 0)
    shape = builder.constant(operator, "shape", np.array(made_shape, np.int32))
    inputs = [shape, filters, builder.tensor(operator.inputs[0]), bias_index(builder, operator)]
    builder.operator(
        "TRANSPOSE_CONV",
        inputs,
        [made],
        version=FUSED_VERSION if given["activation"] != "none" else BIAS_VERSION,
        options="TransposeConvOptions",
        padding=int(getattr(builder.schema.Padding, padding)),
        strideH=given["strides"][0],
        strideW=given["strides"][1],
        fusedActivationFunction=builder.fused(operator),
    )
    if cut:
        begin = builder.constant(operator, "begin", np.array((0, *starts, 0), np.int32))
        size = builder.constant(operator, "size", np.array(target.shape, np.int32))
        version = int8_version(graph, operator, int8=2)
        builder.operator(
            "SLICE", [made, begin, size], [builder.tensor(target.name)], version=version, options="SliceOptions"
        )
