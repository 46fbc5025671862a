"""Pools, means and resizes."""

from collections.abc import Callable

from edge.graph.importers.tflite.operators.site import Reading, Site, axis_of


def pool(kind: str) -> Callable[[Site], Reading | None]:
    """AVERAGE_POOL_2D and MAX_POOL_2D; padding is never counted."""

    def read(site: Site) -> Reading | None:
        activation = site.activation()
        if activation is None or site.options is None:
            return None
        if len(site.x.shape) != 4:
            raise ValueError(f"{site.operator.code} over shape {site.x.shape}")
        kernel = (site.options.FilterHeight(), site.options.FilterWidth())
        strides = (site.options.StrideH(), site.options.StrideW())
        attributes = {
            "kernel": kernel,
            "strides": strides,
            "pads": site.pads(kernel, strides),
            "activation": activation,
        }
        if kind == "AveragePool":
            attributes["count_include_pad"] = False
        return Reading(kind=kind, attributes=attributes)

    return read


def reduction(kind: str) -> Callable[[Site], Reading | None]:
    """MEAN, SUM, REDUCE_MAX and REDUCE_MIN over constant axes."""

    def read(site: Site) -> Reading | None:
        axes = site.integers(1)
        if axes is None or site.options is None:
            return None
        rank = len(site.x.shape)
        named = tuple(sorted({axis_of(axis, rank) for axis in axes}))
        return Reading(kind=kind, attributes={"axes": named, "keepdims": bool(site.options.KeepDims())})

    return read


def resize(mode: str) -> Callable[[Site], Reading | None]:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR to a constant size."""

    def read(site: Site) -> Reading | None:
        size = site.integers(1)
        if size is None or len(size) != 2 or site.options is None or len(site.x.shape) != 4:
            return None
        coordinates = "asymmetric"
        if site.options.HalfPixelCenters():
            coordinates = "half_pixel"
        elif site.options.AlignCorners():
            coordinates = "align_corners"
        return Reading(kind="Resize", attributes={"mode": mode, "coordinates": coordinates, "size_hw": size})

    return read
