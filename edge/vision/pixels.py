"""The arithmetic between a camera frame and a model's input: resize, normalize, quantize.

It needs numpy and OpenCV alone, because it also runs on devices that have no more. It is the one road: calibration,
training's evaluation, verify, bench and the camera all call these functions, so they all see the same input.
Normalize-then-quantize acts on one 8-bit value of one channel at a time, so for integer models it is a look-up table
of 3 x 256 entries, exactly, and no float arithmetic is left on the device.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.frame import CHANNELS, COLOUR_CODES, Frame, PixelFormat, Region, window
from edge.vision.lookup import table_lookup
from edge.vision.scratch import Scratch

Pixels = NDArray[np.uint8]
Quantized = NDArray[np.integer[Any]]
Value = TypeVar("Value", bound=np.generic)
Triple = tuple[float, float, float]

_INTERPOLATIONS: Mapping[str, int] = MappingProxyType(
    {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST_EXACT, "area": cv2.INTER_AREA}
)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How an RGB frame becomes a model's input; `edge.vision.preprocess.Preprocess` is one whose values are checked.

    Attributes:
        colour_order: the order of the model's input channels; frames are always given as RGB.
        height, width: the model's input size in pixels.
        interpolation: how pixels between pixels are made.
        fit: how another aspect is fitted.
        crop_fraction: of the largest centred window.
        mean, std: per input channel, in pixel units 0..255.
    """

    colour_order: Literal["rgb", "bgr"]
    height: int
    width: int
    interpolation: Literal["bilinear", "nearest", "area"]
    fit: Literal["stretch", "crop", "letterbox"]
    crop_fraction: float
    mean: Triple
    std: Triple


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which window of the frame lands where in the model's input, both in pixels.

    The frame's window `top, left, height, width` is resized to `to_height, to_width` and laid at `to_top, to_left`.
    """

    top: int
    left: int
    height: int
    width: int
    to_top: int
    to_left: int
    to_height: int
    to_width: int

    @property
    def in_frame(self) -> tuple[slice, slice]:
        """The window of the frame, by rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def in_input(self) -> tuple[slice, slice]:
        """Where it lies in the model's input, by rows and columns."""
        return slice(self.to_top, self.to_top + self.to_height), slice(self.to_left, self.to_left + self.to_width)


def placement(frame_hw: tuple[int, int], preprocess: Geometry) -> Placement:
    """Where a frame of this size lands. A crop of a square input has the side round(crop_fraction * short side)."""
    frame_height, frame_width = frame_hw
    height, width = preprocess.height, preprocess.width
    if preprocess.fit == "crop":
        # Multiplied before it is divided, so that a square input gives whole numbers before crop_fraction comes in.
        largest_height = min(frame_height, frame_width * height / width)
        largest_width = min(frame_width, frame_height * width / height)
        cut_height = min(frame_height, max(1, round(preprocess.crop_fraction * largest_height)))
        cut_width = min(frame_width, max(1, round(preprocess.crop_fraction * largest_width)))
        top, left = (frame_height - cut_height) // 2, (frame_width - cut_width) // 2
        return Placement(
            top=top,
            left=left,
            height=cut_height,
            width=cut_width,
            to_top=0,
            to_left=0,
            to_height=height,
            to_width=width,
        )
    to_height, to_width = height, width
    if preprocess.fit == "letterbox":
        scale = min(height / frame_height, width / frame_width)
        to_height = min(height, max(1, round(frame_height * scale)))
        to_width = min(width, max(1, round(frame_width * scale)))
    return Placement(
        top=0,
        left=0,
        height=frame_height,
        width=frame_width,
        to_top=(height - to_height) // 2,
        to_left=(width - to_width) // 2,
        to_height=to_height,
        to_width=to_width,
    )


def resize(image: Pixels, preprocess: Geometry) -> Pixels:
    """A frame at the model's size and in its colour order, still uint8.

    Args:
        image: RGB uint8 (h, w, 3).

    Returns:
        uint8 (height, width, 3), a new array.
    """
    frame = Frame(image=image, format="rgb")
    return fitting("rgb", frame.whole, preprocess, Scratch())(frame.image)


def fitting(layout: PixelFormat, region: Region, preprocess: Geometry, scratch: Scratch) -> Callable[[Pixels], Pixels]:
    """How a region of frames of one format comes to the model's size and colour order, for one frame after another.

    It gives what `resize` gives of the RGB picture that the region stands for. What lies outside the window is not
    read, and no pixel of it is converted that can be resized as it is: channels are resized each for itself, so grey,
    alpha and the order of colours are seen to at the model's size. YUV is not linear (it saturates), so its window is
    converted first.

    Args:
        region: within the frames.
        scratch: room for a converted window.

    Returns:
        A function from `Frame.image` to uint8 (height, width, 3): always one array, which the next call fills anew.
    """
    place, order = placement((region.height, region.width), preprocess), preprocess.colour_order
    part = Region(region.top + place.top, region.left + place.left, place.height, place.width)
    rows, columns = part.places
    size_hw = (place.to_height, place.to_width)
    size_wh, resizes = size_hw[::-1], part[2:] != size_hw
    interpolation = _INTERPOLATIONS[preprocess.interpolation]
    filled = np.empty((preprocess.height, preprocess.width, 3), dtype=np.uint8)
    bordered = size_hw != filled.shape[:2]
    if bordered:
        filled[:] = np.clip(np.rint(np.asarray(preprocess.mean)), 0, 255).astype(np.uint8)
    content = filled[place.in_input]
    code = COLOUR_CODES.get(layout, {}).get(order)
    as_it_is = layout == order or code is not None
    channels = CHANNELS.get(layout, 1) if as_it_is else 3
    small = content
    if bordered or code is not None:
        small = np.empty(size_hw if channels == 1 else (*size_hw, channels), np.uint8)

    def fit(image: Pixels) -> Pixels:
        taken = image[rows, columns] if as_it_is else window(image, layout, part, order, scratch)
        if resizes:
            cv2.resize(taken, size_wh, small, 0, 0, interpolation)
            taken = small
        if code is not None:
            if bordered:
                content[:] = cv2.cvtColor(taken, code)
            else:
                cv2.cvtColor(taken, code, filled)
        elif taken is not content:
            content[:] = taken
        return filled

    return fit


def resize_mask(mask: Pixels, preprocess: Geometry, ignore_index: int) -> Pixels:
    """A mask in the model's geometry: what `resize` does to the frame, at the nearest pixel.

    Args:
        mask: uint8 (h, w) of the frame's size.
        ignore_index: fills what lies outside the frame (letterbox).

    Returns:
        uint8 (height, width).
    """
    place = placement(mask.shape[:2], preprocess)
    window = np.ascontiguousarray(mask[place.in_frame])
    content = cv2.resize(window, (place.to_width, place.to_height), interpolation=cv2.INTER_NEAREST_EXACT)
    filled = np.full((preprocess.height, preprocess.width), ignore_index, dtype=np.uint8)
    filled[place.in_input] = content
    return filled


def normalize_table(preprocess: Geometry) -> NDArray[np.float32]:
    """float32 (3, 256): the float input for each channel and 8-bit value, (value - mean) / std in float32."""
    values = np.arange(256, dtype=np.float32)
    mean = np.asarray(preprocess.mean, dtype=np.float32)[:, None]
    std = np.asarray(preprocess.std, dtype=np.float32)[:, None]
    return np.asarray((values - mean) / std, dtype=np.float32)


def normalize(pixels: Pixels, preprocess: Geometry) -> NDArray[np.float32]:
    """Pixels at the model's size (`resize`'s result, or a stack of them) to float32 of the same shape.

    One look-up per value in `normalize_table`: the same floats as the arithmetic, in a seventh of its time.

    Args:
        pixels: uint8 (..., height, width, 3), in the model's colour order.
    """
    table = np.ascontiguousarray(normalize_table(preprocess).T).reshape(1, 256, 3)
    looked_up = cv2.LUT(pixels.reshape(-1, pixels.shape[-2], 3), table)
    return np.asarray(looked_up, dtype=np.float32).reshape(pixels.shape)


def in_layout(values: NDArray[Value], layout: str) -> NDArray[Value]:
    """A stack (n, height, width, 3) in a file's layout, `nhwc` or `nchw`, without gaps in memory."""
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if layout == "nchw" else values)


def quantize_table(
    preprocess: Geometry, scale: float, zero_point: int, dtype: Literal["int8", "uint8", "int16"]
) -> Quantized:
    """Normalize-then-quantize folded into one table, exactly.

    An entry is clip(rint(normalized / scale) + zero_point), float32 and half to even: QuantizeLinear of ONNX.

    Args:
        scale, zero_point, dtype: the quantization of the model's input; scale is rounded to float32 first.

    Returns:
        int8, uint8 or int16 (3, 256), by input channel and pixel value.
    """
    if not np.float32(scale) > 0:
        raise UsageError(f"the input's scale must be positive, found {scale}")
    limits = np.iinfo(dtype)
    levels = np.rint(normalize_table(preprocess) / np.float32(scale)) + np.float32(zero_point)
    clipped: NDArray[np.float32] = np.clip(levels, limits.min, limits.max)
    return cast(Quantized, clipped.astype(dtype))


def apply_table(pixels: Pixels, table: Quantized) -> Quantized:
    """Look every pixel of (height, width, 3) or a stack (n, height, width, 3) up in a (3, 256) table; same shape."""
    stacked = pixels.reshape(-1, pixels.shape[-2], 3)
    found = np.empty(stacked.shape, table.dtype)
    table_lookup(table, np.ascontiguousarray(stacked), found)()
    return found.reshape(pixels.shape)
