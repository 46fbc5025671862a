"""Resize: linear over the two spatial axes; nearest over any axes, as a Resize or as Gathers of the same values."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.errors import UnsupportedError
from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.operators.windows import finish, raised
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.importers.onnx.parsing.opset import SIMPLE

# ONNX name -> canonical name; what distinguishes the half-pixel forms is checked below.
COORDINATES = {
    "half_pixel": "half_pixel",
    "half_pixel_symmetric": "half_pixel",
    "pytorch_half_pixel": "half_pixel",
    "asymmetric": "asymmetric",
    "align_corners": "align_corners",
}
RATIO_TOLERANCE = 1e-6
LARGEST_SIZE = 2**31
F32 = np.float32
TIE = 1e-6
ULPS = 8
# canonical coordinates -> the rounding with which ONNX means what TFLite's kernel does
NEAREST = {"half_pixel": "round_prefer_ceil", "asymmetric": "floor", "align_corners": "round_prefer_ceil"}
Indices = npt.NDArray[np.int64]


def resize(importer: Importer, node: Node) -> None:
    """Linear where the scale is exactly the ratio of the sizes; nearest with every rounding and scale."""
    x = importer.tensor(node.input(0))
    output = node.outputs[0]
    mode = node.attributes.get("mode", "nearest")
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear"):
        raise NotCanonical(f"mode {mode}; nearest and linear are known")
    if coordinates not in COORDINATES or node.attributes.get("antialias", 0):
        raise NotCanonical(f"{coordinates} coordinates, antialias {node.attributes.get('antialias', 0)}")
    if not x.shape or 0 in x.shape:
        raise NotCanonical("nothing to resize")
    shape, scales = _sizes(importer, node, x.shape)
    if 0 in shape:
        raise NotCanonical(f"a result of {shape}")
    importer.types[output] = (x.dtype, shape)  # ONNX's own inference multiplies in double
    if shape == x.shape:  # ONNX Runtime and PyTorch copy, whatever the scale
        importer.alias(output, x.name)
        return
    if mode == "nearest":
        _nearest(importer, node, x, shape, scales)
        return
    for axis, (before, after) in enumerate(zip(x.shape, shape, strict=True)):
        if coordinates == "pytorch_half_pixel" and after == 1 and before != 1:
            raise NotCanonical("pytorch_half_pixel to one pixel")
        if abs(float(scales[axis]) * before / after - 1) > RATIO_TOLERANCE:
            raise NotCanonical(f"a scale of {scales[axis]:g} from {before} to {after} pixels")
    _emit(importer, node, x, shape, COORDINATES[coordinates])


def _emit(importer: Importer, node: Node, x: Tensor, shape: tuple[int, ...], coordinates: str) -> None:
    if len(x.shape) not in (3, 4) or shape[:2] != x.shape[:2]:
        raise NotCanonical("not the two spatial axes")
    mode = node.attributes.get("mode", "nearest")
    attributes: dict[str, object] = {"mode": mode, "coordinates": coordinates, "size_hw": (1, *shape[2:])[-2:]}
    finish(importer, node, "Resize", (raised(importer, node, x).name,), attributes, x.dtype)


def _nearest(importer: Importer, node: Node, x: Tensor, shape: tuple[int, ...], scales: Sequence[np.float32]) -> None:
    """A Resize if its indices are those that the kernel computes, else one Gather per axis that changes."""
    coordinates = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    axes = [axis for axis in range(len(shape)) if shape[axis] != x.shape[axis] or scales[axis] != 1]
    chosen = {axis: nearest(x.shape[axis], shape[axis], scales[axis], coordinates, rounding) for axis in axes}
    canonical = COORDINATES[coordinates]
    if len(x.shape) in (3, 4) and min(axes, default=0) >= 2:
        known = (kernel_indices(x.shape[axis], shape[axis], canonical) for axis in axes)
        if all(np.array_equal(chosen[axis], found) for axis, found in zip(axes, known, strict=True)):
            _emit(importer, node, x, shape, canonical)
            return
    current = x
    for axis, places in chosen.items():
        name = importer.add_constant(f"{node.outputs[0]}/indices", places, fresh=True)
        if axis == axes[-1]:
            importer.emit("Gather", node, (current.name, name), {"axis": axis})
            return
        made = (*current.shape[:axis], shape[axis], *current.shape[axis + 1 :])
        step = importer.step("Gather", node, (current.name, name), {"axis": axis}, made, dtype=x.dtype)
        current = importer.tensor(step)


def _sizes(importer: Importer, node: Node, before: tuple[int, ...]) -> tuple[tuple[int, ...], list[np.float32]]:
    """The result's shape and the scale per axis, in float32 as ONNX Runtime computes both.

    From scales: floor(scale * size). From sizes: scale = new / old; with an aspect ratio kept, one scale for all axes
    and round(scale * size).
    """
    axes = [axis_of(axis, len(before)) for axis in node.attributes.get("axes", range(len(before)))]
    shape, scales = list(before), [F32(1)] * len(before)
    name = node.input(2)
    data = importer.constant(name) if name else None
    if name and data is None:
        raise NotCanonical("computed scales")
    if data is not None and data.size:
        if data.size != len(axes):
            raise NotCanonical("scales for other axes")
        for axis, scale in zip(axes, data.reshape(-1).astype(F32), strict=True):
            if not 0 < scale < LARGEST_SIZE:
                raise NotCanonical(f"a scale of {scale:g}")
            scales[axis], shape[axis] = scale, int(scale * F32(before[axis]))
        return tuple(shape), scales
    sizes = importer.integers(node.input(3))
    if len(sizes) != len(axes):
        raise NotCanonical("sizes for other axes")
    for axis, size in zip(axes, sizes, strict=True):
        scales[axis], shape[axis] = F32(size) / F32(before[axis]), size
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        common = (min if policy == "not_larger" else max)(scales[axis] for axis in axes)
        for axis in axes:
            scales[axis], shape[axis] = common, int(np.floor(common * F32(before[axis]) + F32(0.5)))
    return tuple(shape), scales


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


def onnx_form(before: Sequence[int], after: Sequence[int], coordinates: str) -> tuple[str, list[np.float32]]:
    """The rounding and the scale per axis with which a nearest ONNX Resize takes the pixels of TFLite's kernel.

    The scales are after / before where that does it, else a few ulps beside.
    Refuses (UnsupportedError) sizes for which none does.
    """
    sizes = list(zip(before, after, strict=True))
    for rounding in (NEAREST[coordinates], "round_prefer_floor", "round_prefer_ceil"):
        scales = [_onnx_scale(size, new_size, coordinates, rounding) for size, new_size in sizes]
        found = [scale for scale in scales if scale is not None]
        if len(found) == len(scales):
            return rounding, found
    raise UnsupportedError(
        f"no ONNX Resize takes the pixels of TFLite's (nearest, {coordinates}) from {before} to {after}; "
        "resize by a whole factor, or half of one"
    )


def _onnx_scale(size: int, new_size: int, coordinates: str, rounding: str) -> np.float32 | None:
    wanted = kernel_indices(size, new_size, coordinates)
    exact = F32(new_size) / F32(size)
    for ulps in sorted(range(-ULPS, ULPS + 1), key=abs):
        scale = F32(exact + ulps * np.spacing(exact))
        if ulps and int(scale * F32(size)) != new_size:
            continue
        if np.array_equal(nearest(size, new_size, scale, coordinates, rounding), wanted):
            return scale
    return None


def nearest(size: int, new_size: int, scale: np.float32, coordinates: str, rounding: str) -> Indices:
    """Source index of every output index, in the float32 steps of ONNX Runtime's Resize.

    The reference of ONNX computes in double and takes other pixels where float32 rounds onto a whole number. What lies
    within TIE of a half is a tie (found by running ONNX Runtime 1.32 over 2,091 such places).
    """
    index, half = np.arange(new_size, dtype=F32), F32(0.5)
    if new_size == 1 and coordinates in ("pytorch_half_pixel", "align_corners"):
        place = index
    elif coordinates in ("half_pixel", "pytorch_half_pixel"):
        place = (index + half) / scale - half
    elif coordinates == "half_pixel_symmetric":
        offset = F32(size) / F32(2) * (F32(1) - F32(new_size) / (scale * F32(size)))
        place = (np.float64(offset) + (index.astype(np.float64) + 0.5) / np.float64(scale) - 0.5).astype(F32)
    elif coordinates == "asymmetric":
        place = index / scale
    else:
        place = index * F32(size - 1) / F32(new_size - 1)
    lower = np.floor(place)
    part = place.astype(np.float64) - lower
    tie = np.abs(part - 0.5) < TIE
    table = {
        "floor": lower,
        "ceil": np.ceil(place),
        "round_prefer_floor": lower + (~tie & (part > 0.5)),
        "round_prefer_ceil": lower + (tie | (part > 0.5)),
        SIMPLE: np.ceil(place) if scale < 1 else lower,
    }
    if rounding not in table:
        raise NotCanonical(f"nearest_mode {rounding}")
    return np.asarray(np.clip(table[rounding], 0, size - 1), np.int64)
