"""Resize: linear over the two spatial axes; nearest over any axes, as a Resize or as Gathers of the same values."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Tensor
from edge.graph.onnx_draft import Draft, Node, NotCanonical
from edge.graph.onnx_operators.elementwise import axis_of
from edge.graph.onnx_operators.windows import finish, raised
from edge.graph.onnx_opset import SIMPLE

# ONNX name -> canonical name; what distinguishes the half-pixel forms is checked below.
COORDINATES = {
    "half_pixel": "half_pixel",
    "half_pixel_symmetric": "half_pixel",
    "pytorch_half_pixel": "half_pixel",
    "asymmetric": "asymmetric",
    "align_corners": "align_corners",
}
RATIO_TOLERANCE = 1e-6
Indices = npt.NDArray[np.int64]


def resize(draft: Draft, node: Node) -> None:
    """Linear where the scale is exactly the ratio of the sizes; nearest with every rounding and scale."""
    x = draft.tensor(node.input(0))
    output = node.outputs[0]
    shape = draft.types[output][1] if output in draft.types else ()
    mode = node.attributes.get("mode", "nearest")
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if len(shape) != len(x.shape) or not shape or 0 in shape or 0 in x.shape:
        raise NotCanonical("output of unknown shape")
    if mode not in ("nearest", "linear"):
        raise NotCanonical(f"mode {mode}; nearest and linear are known")
    if coordinates not in COORDINATES or node.attributes.get("antialias", 0):
        raise NotCanonical(f"{coordinates} coordinates, antialias {node.attributes.get('antialias', 0)}")
    scales = _scales(draft, node, x.shape, shape)
    if shape == x.shape and (coordinates == "align_corners" or all(scale == 1 for scale in scales)):
        draft.alias(output, x.name)
        return
    if mode == "nearest":
        _nearest(draft, node, x, shape, scales)
        return
    for axis, (before, after) in enumerate(zip(x.shape, shape, strict=True)):
        if coordinates == "pytorch_half_pixel" and after == 1 and before != 1:
            raise NotCanonical("pytorch_half_pixel to one pixel")
        if abs(scales[axis] * before / after - 1) > RATIO_TOLERANCE:
            raise NotCanonical(f"a scale of {scales[axis]:g} from {before} to {after} pixels")
    _emit(draft, node, x, shape, COORDINATES[coordinates])


def _emit(draft: Draft, node: Node, x: Tensor, shape: tuple[int, ...], coordinates: str) -> None:
    if len(x.shape) not in (3, 4) or shape[:2] != x.shape[:2]:
        raise NotCanonical("not the two spatial axes")
    mode = node.attributes.get("mode", "nearest")
    attributes: dict[str, object] = {"mode": mode, "coordinates": coordinates, "size_hw": (1, *shape[2:])[-2:]}
    finish(draft, node, "Resize", (raised(draft, node, x).name,), attributes, x.dtype)


def _nearest(draft: Draft, node: Node, x: Tensor, shape: tuple[int, ...], scales: Sequence[float]) -> None:
    """A Resize if its indices are those that the kernel computes, else one Gather per axis that changes."""
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    axes = [axis for axis in range(len(shape)) if shape[axis] != x.shape[axis] or scales[axis] != 1]
    ratios = (abs(scales[axis] * x.shape[axis] / shape[axis] - 1) for axis in axes)
    if coordinates == "align_corners" and max(ratios, default=0.0) > RATIO_TOLERANCE:
        raise NotCanonical("align_corners with scales that are not the ratios of the sizes")
    chosen = {axis: nearest(x.shape[axis], shape[axis], scales[axis], coordinates, rounding) for axis in axes}
    canonical = COORDINATES[coordinates]
    if len(x.shape) in (3, 4) and min(axes, default=0) >= 2:
        known = (kernel_indices(x.shape[axis], shape[axis], canonical) for axis in axes)
        if all(np.array_equal(chosen[axis], found) for axis, found in zip(axes, known, strict=True)):
            _emit(draft, node, x, shape, canonical)
            return
    if not axes:
        raise NotCanonical("no axis that changes")
    current = x
    for axis, places in chosen.items():
        name = draft.add_constant(f"{node.outputs[0]}/indices", places, fresh=True)
        if axis == axes[-1]:
            draft.emit("Gather", node, (current.name, name), {"axis": axis})
            return
        made = (*current.shape[:axis], shape[axis], *current.shape[axis + 1 :])
        step = draft.step("Gather", node, (current.name, name), {"axis": axis}, made, dtype=x.dtype)
        current = draft.tensor(step)


def _scales(draft: Draft, node: Node, before: tuple[int, ...], after: tuple[int, ...]) -> list[float]:
    """The scale per axis that the file's Resize computes with; float32, as the file states them."""
    exact = [new / old for new, old in zip(after, before, strict=True)]
    name = node.input(2)
    data = draft.constant(name) if name else None
    if name and data is None:
        raise NotCanonical("computed scales")
    axes = [axis_of(axis, len(before)) for axis in node.attributes.get("axes", range(len(before)))]
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if data is None or data.size == 0:
        if policy == "stretch":
            return exact
        sizes = draft.integers(node.input(3))
        choose = min if policy == "not_larger" else max
        common = choose(size / before[axis] for size, axis in zip(sizes, axes, strict=True))
        return [common if axis in axes else 1.0 for axis in range(len(before))]
    if data.size != len(axes):
        raise NotCanonical("scales for other axes")
    for axis, value in zip(axes, data.reshape(-1), strict=True):
        exact[axis] = float(value)
    return exact


def kernel_indices(size: int, new_size: int, coordinates: str) -> Indices:
    """Source index of every output index as TensorFlow Lite's nearest kernel computes it, in float32.

    half_pixel: floor((i + 0.5) * size / new_size); asymmetric: floor(i * size / new_size); align_corners:
    i * (size - 1) / (new_size - 1) rounded half up.
    """
    index = np.arange(new_size, dtype=np.float32)
    less = 1 if coordinates == "align_corners" and new_size != 1 else 0
    scale = np.float32(size - less) / np.float32(new_size - less)
    before, after = {"half_pixel": (0.5, 0.0), "asymmetric": (0.0, 0.0), "align_corners": (0.0, 0.5)}[coordinates]
    place = np.floor((index + np.float32(before)) * scale + np.float32(after))
    return np.asarray(np.clip(place, 0, size - 1), np.int64)


def nearest(size: int, new_size: int, scale: float, coordinates: str, rounding: str) -> Indices:
    """Source index of every output index by ONNX's definition (Resize, operator set 19)."""
    index = np.arange(new_size, dtype=np.float64)
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and new_size > 1):
        place = (index + 0.5) / scale - 0.5
    elif coordinates == "pytorch_half_pixel":
        place = index * 0 - 0.5
    elif coordinates == "half_pixel_symmetric":
        adjustment = new_size / (scale * size)
        place = size / 2 * (1 - adjustment) + (index + 0.5) / scale - 0.5
    elif coordinates == "asymmetric":
        place = index / scale
    else:
        place = index * ((size - 1) / (new_size - 1)) if new_size > 1 else index * 0
    table = {
        "floor": np.floor(place),
        "ceil": np.ceil(place),
        "round_prefer_floor": np.ceil(place - 0.5),
        "round_prefer_ceil": np.floor(place + 0.5),
        SIMPLE: np.ceil(place) if scale < 1 else np.floor(place),
    }
    if rounding not in table:
        raise NotCanonical(f"nearest_mode {rounding}")
    return np.asarray(np.clip(table[rounding], 0, size - 1), np.int64)
