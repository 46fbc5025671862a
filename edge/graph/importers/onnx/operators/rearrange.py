"""Operators that rearrange, repeat or pick values: Gather, DepthToSpace, SpaceToDepth, Tile, Expand, Pad."""

import numpy as np

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.passes.rewrite import real_values

Pair = tuple[int, int]


def gather(importer: Importer, node: Node) -> None:
    """Gather; constant indices that follow each other are a Slice, a single one a Slice and a Reshape."""
    x, indices = importer.tensor(node.input(0)), importer.tensor(node.input(1))
    axis = axis_of(node.attributes.get("axis", 0), len(x.shape))
    if indices.data is None:
        importer.emit("Gather", node, (x.name, indices.name), {"axis": axis})
        return
    size = x.shape[axis]
    places = np.where(indices.data < 0, indices.data + size, indices.data).astype(np.int64)
    if not places.size or places.min() < 0 or places.max() >= size:
        raise NotCanonical(f"indices outside an axis of {size}")
    steps = np.unique(np.diff(places.reshape(-1)))
    if places.ndim > 1 or steps.size > 1 or (steps.size == 1 and steps[0] == 0):
        name = indices.name
        if (indices.data < 0).any():
            name = importer.add_constant(f"{indices.name}/from_start", places, fresh=True)
        importer.emit("Gather", node, (x.name, name), {"axis": axis})
        return
    first, step = int(places.reshape(-1)[0]), int(steps[0]) if steps.size else 1
    last = int(places.reshape(-1)[-1]) + (1 if step > 0 else -1)
    cut = _cut(x.shape, axis, first, last, step)
    if places.ndim == 1:
        importer.emit("Slice", node, (x.name,), cut)
        return
    one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    made = importer.step("Slice", node, (x.name,), cut, one, dtype=x.dtype)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    importer.emit("Reshape", node, (made,), {"shape": shape})


def _cut(shape: tuple[int, ...], axis: int, begin: int, end: int, step: int) -> dict[str, object]:
    rank = range(len(shape))
    return {
        "begin": tuple(begin if index == axis else 0 for index in rank),
        "end": tuple(end if index == axis else shape[index] for index in rank),
        "strides": tuple(step if index == axis else 1 for index in rank),
    }


def depth_to_space(importer: Importer, node: Node) -> None:
    """DepthToSpace in mode DCR or CRD."""
    x, block = importer.tensor(node.input(0)), int(node.attributes.get("blocksize", 0))
    mode = node.attributes.get("mode", "DCR")
    if len(x.shape) != 4 or block < 1 or x.shape[1] % (block * block) or mode not in ("DCR", "CRD"):
        raise NotCanonical(f"mode {mode} by {block} over shape {x.shape}")
    importer.emit("DepthToSpace", node, (x.name,), {"block": block, "mode": mode})


def space_to_depth(importer: Importer, node: Node) -> None:
    """SpaceToDepth; mode CRD (the newest operator sets) is mode DCR and a Gather that reorders the channels."""
    x, block = importer.tensor(node.input(0)), int(node.attributes.get("blocksize", 0))
    mode = node.attributes.get("mode", "DCR")
    if len(x.shape) != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block or mode not in ("DCR", "CRD"):
        raise NotCanonical(f"mode {mode} by {block} over shape {x.shape}")
    if mode == "CRD":
        count, channels, height, width = x.shape
        shape = (count, channels * block * block, height // block, width // block)
        made = importer.step("SpaceToDepth", node, (x.name,), {"block": block}, shape, dtype=x.dtype)
        order = np.arange(shape[1]).reshape(block, block, channels).transpose(2, 0, 1).reshape(-1)
        indices = importer.add_constant(f"{node.outputs[0]}/indices", order.astype(np.int64), fresh=True)
        importer.emit("Gather", node, (made, indices), {"axis": 1})
        return
    importer.emit("SpaceToDepth", node, (x.name,), {"block": block})


def tile(importer: Importer, node: Node) -> None:
    """Tile by constant repeats."""
    x, repeats = importer.tensor(node.input(0)), importer.integers(node.input(1))
    if len(repeats) != len(x.shape) or min(repeats, default=1) < 1:
        raise NotCanonical(f"repeats {repeats} of shape {x.shape}")
    if all(count == 1 for count in repeats):
        importer.alias(node.outputs[0], x.name)
        return
    importer.emit("Tile", node, (x.name,), {"repeats": repeats})


def expand(importer: Importer, node: Node) -> None:
    """Expand to a constant shape."""
    x = importer.tensor(node.input(0))
    shape = tuple(np.broadcast_shapes(x.shape, importer.integers(node.input(1))))
    if shape == x.shape:
        importer.alias(node.outputs[0], x.name)
        return
    importer.emit("Expand", node, (x.name,), {"shape": shape})


def pad(importer: Importer, node: Node) -> None:
    """Pad: pads, value and axes from inputs; negative pads are a Slice in front, edge and wrap are Gathers."""
    x = importer.tensor(node.input(0))
    mode = node.attributes.get("mode", "constant")
    pads = _pads(importer, node, len(x.shape))
    cuts = [(max(0, -before), max(0, -after)) for before, after in pads]
    pads = [(max(0, before), max(0, after)) for before, after in pads]
    if any(before or after for before, after in cuts):
        x = _cropped(importer, node, x, cuts, last=not any(before or after for before, after in pads))
    if not any(before or after for before, after in pads):
        if x.name != node.outputs[0]:
            importer.alias(node.outputs[0], x.name)
        return
    if mode == "constant":
        importer.emit("Pad", node, (x.name,), {"pads": tuple(pads), "value": _value(importer, node, x)})
        return
    mirrored = all(max(pair) < size or not any(pair) for pair, size in zip(pads, x.shape, strict=True))
    if mode == "reflect" and mirrored:
        importer.emit("ReflectPad", node, (x.name,), {"pads": tuple(pads)})
    elif mode in ("edge", "wrap"):
        _picked(importer, node, x, pads, mode)
    else:
        raise NotCanonical(f"mode {mode} with pads {pads} of shape {x.shape}")


def _pads(importer: Importer, node: Node, rank: int) -> list[Pair]:
    given = importer.integers(node.input(1))
    axes = [axis_of(axis, rank) for axis in importer.integers(node.input(3))] if node.input(3) else list(range(rank))
    if len(given) != 2 * len(axes):
        raise NotCanonical(f"{len(given)} pads for {len(axes)} axes")
    pads = [(0, 0)] * rank
    for index, axis in enumerate(axes):
        pads[axis] = (given[index], given[index + len(axes)])
    return pads


def _cropped(importer: Importer, node: Node, x: Tensor, cuts: list[Pair], *, last: bool) -> Tensor:
    begin = tuple(before for before, _ in cuts)
    end = tuple(size - after for size, (_, after) in zip(x.shape, cuts, strict=True))
    shape = tuple(stop - start for start, stop in zip(begin, end, strict=True))
    if min(shape, default=1) < 1:
        raise NotCanonical("negative pads that leave nothing")
    attributes = {"begin": begin, "end": end, "strides": (1,) * len(begin)}
    if last:
        importer.emit("Slice", node, (x.name,), attributes)
        return importer.tensor(node.outputs[0])
    return importer.tensor(importer.step("Slice", node, (x.name,), attributes, shape, dtype=x.dtype))


def _value(importer: Importer, node: Node, x: Tensor) -> float:
    if not node.input(2):
        return 0.0
    constant = importer.required_constant(node.input(2))
    if constant.data is None or constant.data.size != 1 or x.quantization is not None:
        raise NotCanonical("the value is not one number")
    return float(real_values(constant).reshape(()))


def _picked(importer: Importer, node: Node, x: Tensor, pads: list[Pair], mode: str) -> None:
    """One Gather per padded axis; its indices repeat the border (edge) or start over (wrap)."""
    axes = [axis for axis, pair in enumerate(pads) if any(pair)]
    for axis in axes:
        places = np.arange(-pads[axis][0], x.shape[axis] + pads[axis][1])
        places = places % x.shape[axis] if mode == "wrap" else np.clip(places, 0, x.shape[axis] - 1)
        indices = importer.add_constant(f"{node.outputs[0]}/indices", places.astype(np.int64), fresh=True)
        if axis == axes[-1]:
            importer.emit("Gather", node, (x.name, indices), {"axis": axis})
            return
        shape = (*x.shape[:axis], places.size, *x.shape[axis + 1 :])
        x = importer.tensor(importer.step("Gather", node, (x.name, indices), {"axis": axis}, shape, dtype=x.dtype))
