"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED."""

from edge.graph.tflite_operators.site import Reading, Site


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
    """FULLY_CONNECTED of a rank-2 input with constant weights."""
    weight, activation = site.input(1), site.activation()
    plain = site.options is None or site.options.WeightsFormat() == 0
    if weight.data is None or activation is None or len(site.x.shape) != 2 or not plain:
        return None
    if len(weight.shape) != 2 or weight.shape[1] != site.x.shape[1]:
        raise ValueError(f"FULLY_CONNECTED: weights {weight.shape} for an input {site.x.shape}")
    return Reading(kind="Gemm", attributes={"activation": activation}, inputs=(0, 1, 2))
