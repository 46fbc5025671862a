"""One frame as a camera or decoder lays it out in memory, and its colours as red, green and blue.

YUV becomes RGB as OpenCV converts it: BT.601 of the limited range (luma 16..235), each chroma sample for all pixels
that share it. Grey is the same value in all three channels. Alpha is left out.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError, unknown_name
from edge.vision.scratch import Scratch

Pixels = NDArray[np.uint8]
ColourOrder = Literal["bgr", "rgb"]
PixelFormat = Literal["bgr", "rgb", "bgra", "rgba", "grey", "nv12", "yuv420", "yuyv"]
PIXEL_FORMATS: tuple[PixelFormat, ...] = get_args(PixelFormat)
CHANNELS: Mapping[PixelFormat, int] = MappingProxyType({"bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4, "yuyv": 2})
PLANAR: tuple[PixelFormat, ...] = ("nv12", "yuv420")
LAYOUTS: Mapping[PixelFormat, str] = MappingProxyType(
    {
        **{name: f"(h, w, {channels})" for name, channels in CHANNELS.items()},
        "grey": "(h, w)",
        "nv12": "(h * 3/2, w) with h and w even",
        "yuv420": "(h * 3/2, w) with h and w even, without gaps in memory",
    }
)
COLOUR_CODES: Mapping[PixelFormat, Mapping[ColourOrder, int]] = MappingProxyType(
    {
        "bgr": {"rgb": cv2.COLOR_BGR2RGB},
        "rgb": {"bgr": cv2.COLOR_RGB2BGR},
        "bgra": {"rgb": cv2.COLOR_BGRA2RGB, "bgr": cv2.COLOR_BGRA2BGR},
        "rgba": {"rgb": cv2.COLOR_RGBA2RGB, "bgr": cv2.COLOR_RGBA2BGR},
        "grey": {"rgb": cv2.COLOR_GRAY2RGB, "bgr": cv2.COLOR_GRAY2BGR},
    }
)
"""Formats whose pixels stand each for itself, and what converts them; nothing where they are in the order."""
_YUYV = {"rgb": cv2.COLOR_YUV2RGB_YUY2, "bgr": cv2.COLOR_YUV2BGR_YUY2}
_TWO_PLANES = {"rgb": cv2.COLOR_YUV2RGB_NV12, "bgr": cv2.COLOR_YUV2BGR_NV12}


class Region(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def places(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Frame:
    """One frame, its bytes where the camera put them.

    Attributes:
        image: uint8. bgr, rgb (h, w, 3); bgra, rgba (h, w, 4); grey (h, w); yuyv (h, w, 2): 4:2:2, Y and by turns U, V;
            nv12 (h * 3/2, w): the rows of Y, then those of U and V by turns; yuv420 (h * 3/2, w), which is I420: Y,
            then U and V of half the width, one after the other. Rows may be longer than the picture (stride), and more
            than it has (padding): `size_hw` says how much is picture.
        format: how the bytes are to be read.
        name: the picture's file name, or the frame's number.
        captured_ns: `time.monotonic_ns()` when the camera took it, or when it was decoded.
        size_hw: height and width of the picture, in the upper left corner; by default all that the array holds.
        preview: the same moment and the same view at a size for people, where the camera makes both; None: the picture
            itself is looked at.
    """

    image: Pixels
    format: PixelFormat
    name: str = ""
    captured_ns: int = field(default_factory=time.monotonic_ns)
    size_hw: tuple[int, int] = (0, 0)
    preview: "Frame | None" = None

    def __post_init__(self) -> None:
        """Refuse (UsageError) an array that is not of the format, or smaller than the picture."""
        if self.format not in PIXEL_FORMATS:
            raise UsageError(unknown_name("pixel format", self.format, PIXEL_FORMATS))
        held = _held_hw(self.image, self.format)
        if self.size_hw == (0, 0):
            object.__setattr__(self, "size_hw", held)
        elif not (0 < self.size_hw[0] <= held[0] and 0 < self.size_hw[1] <= held[1]):
            raise UsageError(
                f"a frame of {self.size_hw[0]}x{self.size_hw[1]} pixels (height x width) is not in an array of "
                f"{self.image.shape} {self.format}"
            )

    @property
    def whole(self) -> Region:
        """All of the picture."""
        return Region(0, 0, *self.size_hw)

    def bgr(self) -> Pixels:
        """BGR uint8 (h, w, 3); the frame's own array where that is its order."""
        return self.window(self.whole, "bgr")

    def rgb(self) -> Pixels:
        """RGB uint8 (h, w, 3); the frame's own array where that is its order."""
        return self.window(self.whole, "rgb")

    def window(self, region: Region, order: ColourOrder) -> Pixels:
        """A region of the picture in colours, uint8 (h, w, 3); see `window`. Not copied where nothing is to convert."""
        return window(self.image, self.format, region, order, Scratch())


def window(image: Pixels, layout: PixelFormat, region: Region, order: ColourOrder, scratch: Scratch) -> Pixels:
    """A region of an array of a format (`Frame.image`) in colours: as if the whole were converted, and then cut.

    Only what lies in it is converted; where nothing is to convert, it is a view of the array.

    Args:
        region: within the picture.
        scratch: where the colours are put; they hold until its next use.

    Returns:
        uint8 (region height, region width, 3).
    """
    rows, columns = region.places
    if layout == order:
        return image[rows, columns]
    if layout in COLOUR_CODES:
        out = scratch.array("colours", (region.height, region.width, 3), np.uint8)
        return np.asarray(cv2.cvtColor(image[rows, columns], COLOUR_CODES[layout][order], dst=out), np.uint8)
    # Chroma belongs to pairs of columns, and of rows too where there are planes.
    step = 1 if layout == "yuyv" else 2
    (top, bottom), (left, right) = _even(region.top, region.height, step), _even(region.left, region.width, 2)
    out = scratch.array("colours", (bottom - top, right - left, 3), np.uint8)
    if layout == "yuyv":
        cv2.cvtColor(image[top:bottom, left:right], _YUYV[order], dst=out)
    else:
        luma = image.shape[0] // 3 * 2
        # A plane of U or V ends in the middle of a row of the array where its height is odd.
        planes = image[luma:].reshape((luma // 2, -1, 2) if layout == "nv12" else (2, luma // 2, -1))
        rows, columns = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        if layout == "nv12":
            chroma = planes[rows, columns]
        else:
            chroma = scratch.array("chroma", ((bottom - top) // 2, (right - left) // 2, 2), np.uint8)
            cv2.merge([planes[0, rows, columns], planes[1, rows, columns]], dst=chroma)
        cv2.cvtColorTwoPlane(image[top:bottom, left:right], chroma, _TWO_PLANES[order], dst=out)
    top, left = region.top - top, region.left - left
    return out[top : top + region.height, left : left + region.width]


def _held_hw(image: Pixels, layout: PixelFormat) -> tuple[int, int]:
    """Height and width of all that an array holds. Refuses (UsageError) one that is not of the format."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.size == 0:
        fits = False
    elif layout in CHANNELS:
        fits = image.ndim == 3 and image.shape[2] == CHANNELS[layout] and (layout != "yuyv" or image.shape[1] % 2 == 0)
    else:
        fits = image.ndim == 2 and (layout == "grey" or (image.shape[0] % 3 == 0 and image.shape[1] % 2 == 0))
        fits = fits and (layout != "yuv420" or image.flags.c_contiguous)  # its chroma rows are halves of the array's
    if not fits:
        raise UsageError(f"a frame in {layout} must be an array of uint8 {LAYOUTS[layout]}, found {array_told(image)}")
    height, width = image.shape[:2]
    return (height // 3 * 2 if layout in PLANAR else height), width


def array_told(frame: object) -> str:
    """What was given in place of a frame, in a few words."""
    if isinstance(frame, np.ndarray):
        return f"{frame.dtype} {frame.shape}"
    if frame is None:
        return "None, which OpenCV gives in place of a picture that it cannot read"
    return type(frame).__name__


def _even(start: int, size: int, step: int) -> tuple[int, int]:
    """The least stretch around `size` places from `start` on that begins and ends at multiples of `step`."""
    return start // step * step, -(-(start + size) // step) * step
