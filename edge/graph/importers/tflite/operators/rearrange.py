"""Operators that rearrange or repeat values: GATHER, DEPTH_TO_SPACE, SPACE_TO_DEPTH, TILE, BROADCAST_TO, MIRROR_PAD."""

from edge.graph.importers.tflite.operators.site import Reading, Site, axis_of
from edge.graph.importers.tflite.parsing.schema import schema


def gather(site: Site) -> Reading | None:
    """GATHER along one axis, without batch axes."""
    indices = site.input(1)
    if site.options is None or site.options.BatchDims() or indices.dtype not in ("int32", "int64"):
        return None
    axis = axis_of(site.options.Axis(), len(site.x.shape))
    if indices.data is not None and indices.data.size and not indices.data.min() >= 0:
        raise ValueError("GATHER of negative indices")
    if indices.data is not None and indices.data.size and indices.data.max() >= site.x.shape[axis]:
        raise ValueError(f"GATHER of index {indices.data.max()} among {site.x.shape[axis]}")
    return Reading(kind="Gather", attributes={"axis": axis}, inputs=(0, 1))


def depth_to_space(site: Site) -> Reading | None:
    """DEPTH_TO_SPACE, whose block is the outer part of the channel."""
    block = _block(site)
    if len(site.x.shape) != 4 or site.x.shape[3] % (block * block):
        raise ValueError(f"DEPTH_TO_SPACE by {block} over shape {site.x.shape}")
    return Reading(kind="DepthToSpace", attributes={"block": block, "mode": "DCR"})


def space_to_depth(site: Site) -> Reading | None:
    """SPACE_TO_DEPTH."""
    block = _block(site)
    if len(site.x.shape) != 4 or site.x.shape[1] % block or site.x.shape[2] % block:
        raise ValueError(f"SPACE_TO_DEPTH by {block} over shape {site.x.shape}")
    return Reading(kind="SpaceToDepth", attributes={"block": block})


def _block(site: Site) -> int:
    block = int(site.options.BlockSize()) if site.options is not None else 0
    if block < 1:
        raise ValueError(f"{site.operator.code} with block size {block}")
    return block


def tile(site: Site) -> Reading | None:
    """TILE by constant repeats."""
    repeats = site.integers(1)
    if repeats is None or len(repeats) != len(site.x.shape) or min(repeats, default=1) < 1:
        return None
    return Reading(kind="Tile", attributes={"repeats": repeats})


def broadcast_to(site: Site) -> Reading | None:
    """BROADCAST_TO; the output tensor says the shape."""
    before, after = site.x.shape, site.output.shape
    aligned = (1,) * (len(after) - len(before)) + before
    if len(before) > len(after) or any(old not in (1, new) for old, new in zip(aligned, after, strict=True)):
        raise ValueError(f"BROADCAST_TO from {before} to {after}")
    return Reading(kind="Expand", attributes={"shape": after})


def mirror_pad(site: Site) -> Reading | None:
    """MIRROR_PAD in mode REFLECT."""
    pads = site.integers(1)
    if pads is None or site.options is None or site.options.Mode() != schema().MirrorPadMode.REFLECT:
        return None
    pairs = tuple((pads[index], pads[index + 1]) for index in range(0, len(pads) - 1, 2))
    if len(pads) != 2 * len(site.x.shape) or any(
        not 0 <= min(pair) <= max(pair) < size for pair, size in zip(pairs, site.x.shape, strict=True)
    ):
        raise ValueError(f"MIRROR_PAD by {pads} of shape {site.x.shape}")
    return Reading(kind="ReflectPad", attributes={"pads": pairs})


def cast(site: Site) -> Reading | None:
    """CAST between plain numbers, or of the integers of an int16 tensor (before an ARG_MAX, which takes int32)."""
    widened = site.x.dtype == "int16" and site.output.dtype in ("int32", "int64")
    if (site.x.quantization is not None and not widened) or site.output.quantization is not None:
        return None
    return Reading(kind="Cast", attributes={})
