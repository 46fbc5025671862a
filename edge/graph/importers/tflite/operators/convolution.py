"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED and BATCH_MATMUL."""

from math import prod

from edge.graph.importers.tflite.operators.site import Reading, Site
from edge.graph.importers.tflite.parsing.schema import schema
from edge.graph.ops.padding import same_pads, transposed_full_size


def conv(site: Site) -> Reading | None:
    """CONV_2D and DEPTHWISE_CONV_2D with constant weights; the two channel counts give the group."""
    weight, activation = site.input(1), site.activation()
    if weight.data is None or activation is None or site.options is None:
        return None
    if len(weight.shape) != 4 or len(site.x.shape) != 4 or len(site.output.shape) != 4:
        raise ValueError(f"{site.operator.code} over shapes {site.x.shape} and {weight.shape}")
    depthwise = site.operator.code == "DEPTHWISE_CONV_2D"
    channels, kernel = site.x.shape[3], (weight.shape[1], weight.shape[2])
    per_group = 1 if depthwise else weight.shape[3]
    made = weight.shape[3] if depthwise else weight.shape[0]
    if (depthwise and weight.shape[0] != 1) or per_group < 1 or channels % per_group or made != site.output.shape[3]:
        raise ValueError(f"{site.operator.code}: weights {weight.shape} for {channels} channels")
    group = channels // per_group
    if group < 1 or made % group:
        raise ValueError(f"{site.operator.code}: {made} output channels in {group} groups")
    strides = (site.options.StrideH(), site.options.StrideW())
    dilations = (site.options.DilationHFactor(), site.options.DilationWFactor())
    attributes = {
        "strides": strides,
        "pads": site.pads(kernel, strides, dilations),
        "dilations": dilations,
        "group": group,
        "activation": activation,
    }
    weight_form = "depthwise" if depthwise else "ohwi"
    return Reading(kind="Conv", attributes=attributes, inputs=(0, 1, 2), weight=weight_form)


def fully_connected(site: Site) -> Reading | None:
    """FULLY_CONNECTED with constant weights; without keep_num_dims the kernel sees its input as rows of their width."""
    weight, activation = site.input(1), site.activation()
    plain = site.options is None or site.options.WeightsFormat() == 0
    if weight.data is None or activation is None or not plain or len(weight.shape) != 2:
        return None
    made, width = weight.shape
    kept = site.options is not None and site.options.KeepNumDims()
    if kept or len(site.x.shape) == 2:
        if not site.x.shape or width != site.x.shape[-1] or site.output.shape != (*site.x.shape[:-1], made):
            return None  # sizes that only the runtime knows
        return Reading(kind="Gemm", attributes={"activation": activation}, inputs=(0, 1, 2))
    values = prod(site.x.shape)
    rows = values // width if width else 0
    if rows * width != values or site.output.shape != (rows, made):
        return None
    return Reading(kind="Gemm", attributes={"activation": activation}, inputs=(0, 1, 2), rows=(rows, width))


def transpose_conv(site: Site) -> Reading | None:
    """TRANSPOSE_CONV with constant weights; the output tensor says the size, which SAME cuts evenly and VALID after."""
    weight, x, activation = site.input(1), site.input(2), site.activation()
    if weight.data is None or activation is None or site.options is None:
        return None
    if len(weight.shape) != 4 or len(x.shape) != 4 or len(site.output.shape) != 4 or weight.shape[3] != x.shape[3]:
        raise ValueError(f"TRANSPOSE_CONV over shapes {x.shape} and {weight.shape}")
    kernel, strides = weight.shape[1:3], (site.options.StrideH(), site.options.StrideW())
    if min(*kernel, *strides) < 1 or weight.shape[0] != site.output.shape[3]:
        raise ValueError(f"TRANSPOSE_CONV with weights {weight.shape}, strides {strides}")
    starts = (0, 0)
    if site.options.Padding() == schema().Padding.SAME:
        pads = same_pads(site.output.shape[1:3], kernel, strides, (1, 1))
        starts = (pads[0], pads[1])
    full = transposed_full_size(x.shape[1:3], kernel, strides, (1, 1))
    ends = [max(0, size - start - kept) for size, start, kept in zip(full, starts, site.output.shape[1:3], strict=True)]
    attributes = {
        "strides": strides,
        "pads": (*starts, *ends),
        "dilations": (1, 1),
        "group": 1,
        "activation": activation,
    }
    return Reading(kind="ConvTranspose", attributes=attributes, inputs=(2, 1, 3), weight="ohwi")


def batch_matmul(site: Site) -> Reading | None:
    """BATCH_MATMUL of two matrices, neither transposed."""
    if site.options is None or site.options.AdjX() or site.options.AdjY():
        return None
    first, second = site.x.shape, site.input(1).shape
    if len(first) < 2 or len(second) < 2 or first[-1] != second[-2]:
        raise ValueError(f"BATCH_MATMUL of shapes {first} and {second}")
    return Reading(kind="MatMul", attributes={}, inputs=(0, 1))
