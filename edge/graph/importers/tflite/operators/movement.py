"""Operators that move, cut or join values: concat, pad, reshape, transpose, slices."""

from edge.graph.importers.tflite.operators.site import Reading, Site, axis_of


def concat(site: Site) -> Reading | None:
    """CONCATENATION."""
    if site.options is None or site.activation() != "none":
        return None
    axis = axis_of(site.options.Axis(), len(site.output.shape))
    return Reading(kind="Concat", attributes={"axis": axis}, inputs=tuple(range(len(site.inputs))))


def pad(site: Site) -> Reading | None:
    """PAD and PADV2 with constant pads."""
    pads = site.integers(1)
    if pads is None or len(pads) != 2 * len(site.x.shape):
        return None
    value = 0.0
    if site.operator.code == "PADV2":
        fill = site.input(2)
        if fill.data is None or fill.data.size != 1:
            return None
        value = float(fill.data.reshape(-1)[0])
        if fill.quantization is not None:
            value = float(fill.quantization.scale[0]) * (value - int(fill.quantization.zero_point[0]))
    pairs = tuple((pads[index], pads[index + 1]) for index in range(0, len(pads), 2))
    return Reading(kind="Pad", attributes={"pads": pairs, "value": value})


def reshape(site: Site) -> Reading:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the output tensor says the shape."""
    return Reading(kind="Reshape", attributes={"shape": site.output.shape})


def transpose(site: Site) -> Reading | None:
    """TRANSPOSE by a constant permutation."""
    perm = site.integers(1)
    if perm is None or sorted(perm) != list(range(len(site.x.shape))):
        return None
    return Reading(kind="Transpose", attributes={"perm": perm})


def slice_(site: Site) -> Reading | None:
    """SLICE; the output tensor says the size."""
    begin, rank = site.integers(1), len(site.x.shape)
    if begin is None or len(begin) != rank or len(site.output.shape) != rank:
        return None
    end = tuple(first + size for first, size in zip(begin, site.output.shape, strict=True))
    return Reading(kind="Slice", attributes={"begin": begin, "end": end, "strides": (1,) * rank})
