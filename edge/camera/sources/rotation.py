"""Frames turned by quarters, for a camera that hangs on its side or upside down."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import cv2
import numpy as np

from edge.camera.sources.options import Rotation
from edge.camera.sources.source import Broken, Source
from edge.vision.frame import CHANNELS, Frame

_CODES: Mapping[int, int] = MappingProxyType(
    {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
)


class Turned:
    """A source whose frames are turned clockwise."""

    def __init__(self, source: Source, degrees: Rotation) -> None:
        self._source, self._degrees = source, degrees
        self.name, self.live, self.pictures, self.timed = source.name, source.live, source.pictures, source.timed

    @property
    def frames_per_second(self) -> float | None:
        """The source's."""
        return self._source.frames_per_second

    def frames(self) -> Iterator[Frame | Broken]:
        """The source's frames, turned."""
        for frame in self._source.frames():
            yield turned(frame, self._degrees) if isinstance(frame, Frame) else frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def turned(frame: Frame, degrees: Rotation) -> Frame:
    """The frame turned clockwise by 90, 180 or 270 degrees; YUV becomes BGR, as its pixels share colours by place."""
    height, width = frame.size_hw
    as_it_is = frame.format == "grey" or (frame.format in CHANNELS and frame.format != "yuyv")
    image = frame.image[:height, :width] if as_it_is else frame.bgr()
    done = np.asarray(cv2.rotate(image, _CODES[degrees]), dtype=np.uint8)
    preview = None if frame.preview is None else turned(frame.preview, degrees)
    return replace(frame, image=done, format=frame.format if as_it_is else "bgr", size_hw=(0, 0), preview=preview)
