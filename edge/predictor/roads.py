"""The ways from frames to a model's input, each worked out once: for frames of one layout and region, of one thread."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort
from edge.tasks.task import ASKED, Asked
from edge.vision.encoding import encoding_of
from edge.vision.frame import Frame, PixelFormat, Region
from edge.vision.pixels import Geometry, fitting, placement
from edge.vision.scratch import Scratch

Pixels = NDArray[np.uint8]
MOST_ROADS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Road:
    """One way, with room of its own: `fit` of a frame's array, then `encode`, whose answer holds until the next `fit`.

    Attributes:
        frame_hw: height and width of the frames. asked: their region, where one was asked for.
    """

    frame_hw: tuple[int, int]
    asked: Asked
    fit: Callable[[Pixels], Pixels]
    encode: Callable[[], NDArray[Any]]


class Roads(threading.local):
    """The last MOST_ROADS ways of a thread."""

    def __init__(self, given: DescribedPort, preprocess: Geometry) -> None:
        self._given, self._preprocess = given, preprocess
        self._scratch = Scratch()
        self._known: dict[Any, Road] = {}

    def to(
        self, frame: Frame | Pixels, layout: PixelFormat | None, region: Sequence[int] | None
    ) -> tuple[Pixels, Road]:
        """A frame's array, and its way; arguments as `Predictor.__call__` has them.

        Raises:
            UsageError: no frame of the format, or no region of it.
        """
        key: tuple[Any, ...] | None = None
        size_hw = None
        image: Any = frame
        if isinstance(frame, Frame):
            image, size_hw = frame.image, (frame.size_hw, frame.format)
        if isinstance(image, np.ndarray):
            part = region if region is None else _whole_numbers(region)
            key = (image.shape, image.strides, image.dtype, layout, size_hw, part)
            known = self._known.get(key)
            if known is not None:
                return image, known
        taken = _as_frame(frame, layout)
        road = self._known[key] = self._made(taken, region)
        if len(self._known) > MOST_ROADS:
            del self._known[next(iter(self._known))]
        return image, road

    def _made(self, frame: Frame, region: Sequence[int] | None) -> Road:
        part = None if region is None else _within(region, frame)
        seen, wanted = part or frame.whole, self._preprocess
        fit = fitting(frame.format, seen, wanted, self._scratch)
        pixels = fit(frame.image)  # always in this array
        place = placement((seen.height, seen.width), wanted)
        bordered = (place.to_height, place.to_width) != (wanted.height, wanted.width)  # and written once
        return Road(
            frame_hw=frame.size_hw,
            asked=ASKED if part is None else Asked(region=part),
            fit=fit,
            encode=encoding_of(self._given, self._preprocess, pixels[None], in_place=not bordered),
        )


def _as_frame(frame: Frame | Pixels, layout: PixelFormat | None) -> Frame:
    if not isinstance(frame, Frame):
        return Frame(image=frame, format=layout or "bgr")
    if layout is not None:
        raise UsageError(f"a Frame says itself that it is {frame.format}: leave format out")
    return frame


def _within(region: Sequence[int], frame: Frame) -> Region:
    top, left, height, width = _whole_numbers(region)
    inside = top >= 0 <= left and top + height <= frame.size_hw[0] and left + width <= frame.size_hw[1]
    if not inside or height < 1 or width < 1:
        raise UsageError(
            f"region {tuple(region)} (y, x, height, width) does not lie in a frame of "
            f"{frame.size_hw[0]}x{frame.size_hw[1]} (height x width)"
        )
    return Region(top, left, height, width)


def _whole_numbers(region: Sequence[int]) -> tuple[int, int, int, int]:
    try:
        top, left, height, width = (index(value) for value in region)
    except (TypeError, ValueError) as error:
        raise UsageError(f"region {region} is not four whole numbers: y, x, height, width") from error
    return top, left, height, width
