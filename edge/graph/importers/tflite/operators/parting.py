"""Operators that part or stack values, as several of the graph's: SPLIT, SPLIT_V, UNPACK, PACK, shrinking slices."""

from collections.abc import Sequence

from edge.graph.importers.tflite.operators.site import Part, Reading, Site, Spread, axis_of
from edge.graph.importers.tflite.parsing.file import FileTensor


def split(site: Site) -> Spread | None:
    """SPLIT (axis, value): one Slice per output, whose tensors say their sizes."""
    return _slices(site, value=1, axis=0)


def split_v(site: Site) -> Spread | None:
    """SPLIT_V (value, sizes, axis); a size of -1 is what its output's tensor says."""
    return _slices(site, value=0, axis=2)


def unpack(site: Site) -> Spread | None:
    """UNPACK: a Slice of one place and a Reshape that leaves the axis away, per output."""
    if site.options is None:
        return None
    shape = site.x.shape
    axis = axis_of(site.options.Axis(), len(shape))
    kept = (*shape[:axis], *shape[axis + 1 :])
    if len(site.outputs) != shape[axis] or any(output.shape != kept for output in site.outputs):
        raise ValueError(f"UNPACK of shape {shape} along axis {axis} into {len(site.outputs)} tensors")
    parts: list[Part] = []
    for place in range(shape[axis]):
        begin, end = _span(shape, axis, place, place + 1)
        one = (*shape[:axis], 1, *shape[axis + 1 :])
        parts += [
            Part(kind="Slice", attributes=_plain_slice(begin, end), inputs=(0,), shape=one),
            Part(kind="Reshape", attributes={"shape": kept}, inputs=(~len(parts),), output=place),
        ]
    return Spread(parts=tuple(parts))


def pack(site: Site) -> Spread | None:
    """PACK: a Reshape that gives each input the axis, then a Concat."""
    if site.options is None or any(tensor is None or tensor.shape != site.x.shape for tensor in site.inputs):
        return None
    axis = axis_of(site.options.Axis(), len(site.output.shape))
    shape = site.x.shape
    if site.output.shape != (*shape[:axis], len(site.inputs), *shape[axis:]):
        raise ValueError(f"PACK of {len(site.inputs)} tensors {shape} into {site.output.shape}")
    one = (*shape[:axis], 1, *shape[axis:])
    parts = [
        Part(kind="Reshape", attributes={"shape": one}, inputs=(place,), shape=one) for place in range(len(site.inputs))
    ]
    joined = tuple(~place for place in range(len(parts)))
    return Spread(parts=(*parts, Part(kind="Concat", attributes={"axis": axis}, inputs=joined, output=0)))


def strided_slice(site: Site) -> Reading | Spread | None:
    """STRIDED_SLICE by constants; an axis that it drops is a Slice of one place, then a Reshape."""
    given = [site.integers(position) for position in (1, 2, 3)]
    rank, options = len(site.x.shape), site.options
    if options is None or options.EllipsisMask() or options.NewAxisMask() or options.Offset():
        return None
    if any(values is None or len(values) != rank for values in given) or 0 in (given[2] or ()):
        return None
    begins, ends, strides = (values or () for values in given)
    dropped = [axis for axis in range(rank) if options.ShrinkAxisMask() >> axis & 1]
    spans: list[tuple[int, int, int]] = []
    for axis, size in enumerate(site.x.shape):
        if axis in dropped:
            place = begins[axis] + (size if begins[axis] < 0 else 0)
            if not 0 <= place < size:
                raise ValueError(f"STRIDED_SLICE takes place {begins[axis]} of an axis of {size}")
            spans.append((place, place + 1, 1))
        else:
            first = None if options.BeginMask() >> axis & 1 else begins[axis]
            last = None if options.EndMask() >> axis & 1 else ends[axis]
            spans.append(slice(first, last, strides[axis]).indices(size))
    attributes = {key: tuple(span[place] for span in spans) for place, key in enumerate(("begin", "end", "strides"))}
    if not dropped:
        return Reading(kind="Slice", attributes=attributes)
    kept = tuple(len(range(*span)) for span in spans)
    cut = Part(kind="Slice", attributes=attributes, inputs=(0,), shape=kept)
    rest = tuple(size for axis, size in enumerate(kept) if axis not in dropped)
    if site.output.shape != rest:
        raise ValueError(f"STRIDED_SLICE of {site.x.shape} gives {site.output.shape}, not {rest}")
    return Spread(parts=(cut, Part(kind="Reshape", attributes={"shape": rest}, inputs=(~0,), output=0)))


def _slices(site: Site, value: int, axis: int) -> Spread | None:
    data, said = site.input(value), site.integers(axis)
    if said is None or len(said) != 1:
        return None
    along = axis_of(said[0], len(data.shape))
    if not _parts_of(data.shape, along, site.outputs):
        raise ValueError(f"{site.operator.code} of {data.shape} into {[output.shape for output in site.outputs]}")
    parts, first = [], 0
    for place, output in enumerate(site.outputs):
        begin, end = _span(data.shape, along, first, first + output.shape[along])
        parts.append(Part(kind="Slice", attributes=_plain_slice(begin, end), inputs=(value,), output=place))
        first += output.shape[along]
    return Spread(parts=tuple(parts))


def _parts_of(shape: Sequence[int], axis: int, outputs: Sequence[FileTensor]) -> bool:
    """Whether these tensors, one after another along the axis, are the whole."""
    beside = (*shape[:axis], *shape[axis + 1 :])
    if any(len(output.shape) != len(shape) for output in outputs):
        return False
    fit = all((*output.shape[:axis], *output.shape[axis + 1 :]) == beside for output in outputs)
    return fit and sum(output.shape[axis] for output in outputs) == shape[axis]


def _span(shape: Sequence[int], axis: int, first: int, last: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    begin, end = [0] * len(shape), list(shape)
    begin[axis], end[axis] = first, last
    return tuple(begin), tuple(end)


def _plain_slice(begin: tuple[int, ...], end: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {"begin": begin, "end": end, "strides": (1,) * len(begin)}
