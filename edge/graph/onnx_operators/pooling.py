"""Pools, means and resizing."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.onnx_draft import Draft, Node, NotCanonical
from edge.graph.onnx_operators.convolution import explicit_pads, pair
from edge.graph.onnx_operators.elementwise import axis_of

# ONNX name -> canonical name; the two half-pixel forms differ only where the output size is 1 (checked below).
COORDINATES = {
    "half_pixel": "half_pixel",
    "pytorch_half_pixel": "half_pixel",
    "asymmetric": "asymmetric",
    "align_corners": "align_corners",
}


def pool(draft: Draft, node: Node) -> None:
    """AveragePool and MaxPool over two axes; ceil_mode becomes extra pads where that means the same."""
    x = draft.tensor(node.input(0))
    kernel = tuple(int(value) for value in node.attributes.get("kernel_shape", ()))
    if len(x.shape) != 4 or len(kernel) != 2 or min(kernel) < 1 or len(node.outputs) > 1:
        raise NotCanonical("not a 2-D pool with one output")
    window = (kernel[0], kernel[1])
    strides = pair(node, "strides")
    if pair(node, "dilations") != (1, 1):
        raise NotCanonical("dilated pool")
    average = node.kind == "AveragePool"
    include = bool(node.attributes.get("count_include_pad", 0))
    pads = list(explicit_pads(node, (x.shape[2], x.shape[3]), window, strides, (1, 1)))
    shape = draft.types[node.outputs[0]][1] if node.outputs[0] in draft.types else ()
    if len(shape) != 4:
        raise NotCanonical("output of unknown shape")
    for side in range(2):
        needed = (shape[2 + side] - 1) * strides[side] + window[side] - x.shape[2 + side] - pads[side]
        if needed > pads[2 + side]:
            if average and include:
                raise NotCanonical("ceil_mode that counts padding")
            pads[2 + side] = needed
    if not any(pads):
        include = False
    attributes: dict[str, Any] = {"kernel": window, "strides": strides, "pads": tuple(pads), "activation": "none"}
    if average:
        attributes["count_include_pad"] = include
    draft.emit(node.kind, node, (x.name,), attributes)


def global_average_pool(draft: Draft, node: Node) -> None:
    """A Mean over the spatial axes that keeps them."""
    x = draft.tensor(node.input(0))
    draft.emit("Mean", node, (x.name,), {"axes": tuple(range(2, len(x.shape))), "keepdims": True})


def resize(draft: Draft, node: Node) -> None:
    """Resize of the two spatial axes, linear or nearest, where the scale is exactly the ratio of the sizes.

    Nearest is canonical where its index maps equal those of the canonical rounding (see nearest_indices).
    """
    x = draft.tensor(node.input(0))
    shape = draft.types[node.outputs[0]][1] if node.outputs[0] in draft.types else ()
    mode = node.attributes.get("mode", "nearest")
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if len(x.shape) != 4 or len(shape) != 4 or shape[:2] != x.shape[:2] or 0 in shape or 0 in x.shape:
        raise NotCanonical("not the two spatial axes")
    if mode not in ("nearest", "linear") or coordinates not in COORDINATES or node.attributes.get("antialias", 0):
        raise NotCanonical(f"mode {mode}, {coordinates}")
    canonical = COORDINATES[coordinates]
    scales = _scales(draft, node, x.shape, shape)
    for axis in (2, 3):
        if coordinates == "pytorch_half_pixel" and shape[axis] == 1 and x.shape[axis] != 1:
            raise NotCanonical("pytorch_half_pixel to one pixel")
        if mode == "nearest":
            rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
            given = _nearest(x.shape[axis], shape[axis], scales[axis], canonical, rounding)
            if not np.array_equal(given, nearest_indices(x.shape[axis], shape[axis], canonical)):
                raise NotCanonical(f"nearest_mode {rounding}")
        elif canonical != "align_corners" and abs(scales[axis] * x.shape[axis] / shape[axis] - 1) > 1e-6:
            raise NotCanonical("a scale that is not the ratio of the sizes")
    attributes = {"mode": mode, "coordinates": canonical, "size_hw": (shape[2], shape[3])}
    draft.emit("Resize", node, (x.name,), attributes)


def _scales(draft: Draft, node: Node, before: tuple[int, ...], after: tuple[int, ...]) -> list[float]:
    """The scale per axis that the file's Resize computes with."""
    exact = [new / old for new, old in zip(after, before, strict=True)]
    name = node.input(2)
    data = draft.constant(name) if name else None
    if name and data is None:
        raise NotCanonical("computed scales")
    if data is None or data.size == 0:
        return exact
    axes = [axis_of(axis, 4) for axis in node.attributes.get("axes", range(4))]
    if data.size != len(axes):
        raise NotCanonical("scales for other axes")
    for axis, value in zip(axes, data.reshape(-1), strict=True):
        exact[axis] = float(value)
    return exact


def nearest_indices(size: int, new_size: int, coordinates: str) -> npt.NDArray[np.int64]:
    """Source index of every output index of the canonical nearest Resize, as TensorFlow Lite rounds it.

    half_pixel: floor((i + 0.5) * size / new_size); asymmetric: floor(i * size / new_size); align_corners:
    i * (size - 1) / (new_size - 1) rounded half up.
    """
    rounding = "floor" if coordinates == "asymmetric" else "round_prefer_ceil"
    return _nearest(size, new_size, new_size / size, coordinates, rounding)


def _nearest(size: int, new_size: int, scale: float, coordinates: str, rounding: str) -> npt.NDArray[np.int64]:
    index = np.arange(min(new_size, 1 << 20), dtype=np.float64)
    if coordinates == "half_pixel":
        place = (index + 0.5) / scale - 0.5
    elif coordinates == "asymmetric":
        place = index / scale
    else:
        place = index * ((size - 1) / (new_size - 1)) if new_size > 1 else index * 0
    table = {
        "floor": np.floor(place),
        "ceil": np.ceil(place),
        "round_prefer_floor": np.ceil(place - 0.5),
        "round_prefer_ceil": np.floor(place + 0.5),
    }
    if rounding not in table:
        raise NotCanonical(f"nearest_mode {rounding}")
    return np.clip(table[rounding], 0, size - 1).astype(np.int64)
