"""One frame as a camera or decoder lays it out in memory, and its colours as red, green and blue.

YUV becomes RGB as OpenCV converts it: BT.601 of the limited range (luma 16..235), each chroma sample for all pixels
that share it. Grey is the same value in all three channels. Alpha is left out.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError, unknown_name

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

    def bgr(self) -> Pixels:
        """BGR uint8 (h, w, 3); the frame's own array where that is its order."""
        return self.window(slice(0, self.size_hw[0]), slice(0, self.size_hw[1]), "bgr")

    def rgb(self) -> Pixels:
        """RGB uint8 (h, w, 3); the frame's own array where that is its order."""
        return self.window(slice(0, self.size_hw[0]), slice(0, self.size_hw[1]), "rgb")

    def window(self, rows: slice, columns: slice, order: ColourOrder) -> Pixels:
        """A window of the picture in colours, uint8 (h, w, 3): as if the whole were converted, and then cut.

        Only what lies in it is converted; where nothing is to convert, it is a view of the frame's array.

        Args:
            rows, columns: with both ends, within the picture.
        """
        if self.format == order:
            return self.image[rows, columns]
        return _CONVERTERS[self.format](self.image, rows, columns, order)


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


Convert = Callable[[Pixels, slice, slice, ColourOrder], Pixels]


def _packed(code: Mapping[ColourOrder, int]) -> Convert:
    """Formats of one pixel at a time."""

    def convert(image: Pixels, rows: slice, columns: slice, order: ColourOrder) -> Pixels:
        return np.asarray(cv2.cvtColor(image[rows, columns], code[order]), dtype=np.uint8)

    return convert


def _yuyv(image: Pixels, rows: slice, columns: slice, order: ColourOrder) -> Pixels:
    even, rest = _even(columns)
    code = cv2.COLOR_YUV2RGB_YUY2 if order == "rgb" else cv2.COLOR_YUV2BGR_YUY2
    return np.asarray(cv2.cvtColor(image[rows, even], code), dtype=np.uint8)[:, rest]


def _nv12(image: Pixels, rows: slice, columns: slice, order: ColourOrder) -> Pixels:
    luma = image.shape[0] // 3 * 2
    chroma = image[luma:].reshape(luma // 2, -1, 2)[_half(_even(rows)[0]), _half(_even(columns)[0])]
    return _joined(image, chroma, rows, columns, order)


def _yuv420(image: Pixels, rows: slice, columns: slice, order: ColourOrder) -> Pixels:
    luma = image.shape[0] // 3 * 2
    # A plane of U or V ends in the middle of a row of the array where its height is odd.
    halves = image[luma:].reshape(2, luma // 2, -1)
    half_rows, half_columns = _half(_even(rows)[0]), _half(_even(columns)[0])
    chroma = cv2.merge([halves[0, half_rows, half_columns], halves[1, half_rows, half_columns]])
    return _joined(image, np.asarray(chroma, dtype=np.uint8), rows, columns, order)


def _joined(luma: Pixels, chroma: Pixels, rows: slice, columns: slice, order: ColourOrder) -> Pixels:
    """Luma (h, w) of the whole picture with the chroma (h/2, w/2, 2) of a window's 2x2 blocks."""
    (even_rows, rest_rows), (even_columns, rest_columns) = _even(rows), _even(columns)
    code = cv2.COLOR_YUV2RGB_NV12 if order == "rgb" else cv2.COLOR_YUV2BGR_NV12
    whole = cv2.cvtColorTwoPlane(luma[even_rows, even_columns], chroma, code)
    return np.asarray(whole, dtype=np.uint8)[rest_rows, rest_columns]


def _even(part: slice) -> tuple[slice, slice]:
    """The least even-sided stretch around a part, and where the part lies in it."""
    start = part.start // 2 * 2
    return slice(start, -(-part.stop // 2) * 2), slice(part.start - start, part.stop - start)


def _half(part: slice) -> slice:
    return slice(part.start // 2, part.stop // 2)


_CONVERTERS: Mapping[PixelFormat, Convert] = MappingProxyType(
    {
        "bgr": _packed({"rgb": cv2.COLOR_BGR2RGB}),
        "rgb": _packed({"bgr": cv2.COLOR_RGB2BGR}),
        "bgra": _packed({"rgb": cv2.COLOR_BGRA2RGB, "bgr": cv2.COLOR_BGRA2BGR}),
        "rgba": _packed({"rgb": cv2.COLOR_RGBA2RGB, "bgr": cv2.COLOR_RGBA2BGR}),
        "grey": _packed({"rgb": cv2.COLOR_GRAY2RGB, "bgr": cv2.COLOR_GRAY2BGR}),
        "nv12": _nv12,
        "yuv420": _yuv420,
        "yuyv": _yuyv,
    }
)
