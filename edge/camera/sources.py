"""Where frames come from: a video file, pictures, a named split, or a camera."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.data.decode import IMAGE_SUFFIXES, image_files, read_image
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.errors import DataError, UsageError
from edge.runtime.quiet import quiet_native_log

DEVICES = Path("/dev")
SPLIT_KINDS = ("camvid", "cityscapes", "generated")
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One frame: uint8 (h, w, 3) in the given colour order; the name is the picture's, or the frame's number."""

    image: npt.NDArray[np.uint8]
    colour_order: Literal["bgr", "rgb"]
    name: str


class Source(Protocol):
    """Frames, one after the other, and what is known about them before the first."""

    @property
    def pictures(self) -> bool:
        """Whether the frames are single pictures with names of their own, rather than a film."""
        ...

    @property
    def frames_per_second(self) -> float | None:
        """Of a film; None for pictures and where the source does not say."""
        ...

    def frames(self) -> Iterator[Frame]:
        """The frames; may be called once."""
        ...

    def close(self) -> None:
        """Give the device or file back."""
        ...


class PictureSource:
    """Pictures, decoded when it is their turn."""

    pictures = True
    frames_per_second: float | None = None

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def frames(self) -> Iterator[Frame]:
        """The pictures in order. Refuses (DataError) a damaged one."""
        for path in self._paths:
            yield Frame(image=read_image(path), colour_order="rgb", name=path.name)

    def close(self) -> None:
        """Nothing is held."""


class SplitSource:
    """The images of a split."""

    pictures = True
    frames_per_second: float | None = None

    def __init__(self, split: Split) -> None:
        self._split = split

    def frames(self) -> Iterator[Frame]:
        """The images in the split's order. Refuses (DataError) a damaged one."""
        for index in range(len(self._split)):
            yield Frame(image=self._split.image(index), colour_order="rgb", name=self._split.name(index))

    def close(self) -> None:
        """Nothing is held."""


class CaptureSource:
    """A video file or a camera, read by OpenCV."""

    pictures = False

    def __init__(self, capture: cv2.VideoCapture, name: str) -> None:
        self._capture = capture
        self._name = name
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self.frames_per_second: float | None = rate if 0 < rate <= 1000 else None

    def frames(self) -> Iterator[Frame]:
        """The frames until the end. Refuses (DataError) a source that gives none at all."""
        number = 0
        while True:
            there, image = self._capture.read()
            if not there:
                break
            yield Frame(image=np.asarray(image, dtype=np.uint8), colour_order="bgr", name=str(number))
            number += 1
        if number == 0:
            raise DataError(self._name, "gives no frame; is it a video, and does another program hold the camera?")

    def close(self) -> None:
        """Release the file or camera."""
        self._capture.release()


def open_source(text: str) -> Source:
    """Open what a `--source` names.

    Args:
        text: a folder of pictures, one picture, a video file, a camera's number (`0`) or device (`/dev/video0`), or a
            split (`generated:segment:val`, `camvid:FOLDER:val`).

    Raises:
        DataError: nothing there, or it cannot be opened.
        UsageError: a file of another kind.
    """
    if text.split(":", 1)[0] in SPLIT_KINDS and ":" in text:
        return SplitSource(open_split(split=text))
    if text.isdecimal():
        return _open_camera(DEVICES / f"video{text}")
    path = Path(text)
    if re.fullmatch(r"video\d+", path.name) and path.parent == DEVICES:
        return _open_camera(path)
    if path.is_dir():
        pictures = image_files(path)
        if not pictures:
            raise DataError(path, f"holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return PictureSource(pictures)
    if not path.is_file():
        raise DataError(path, "no such file, folder or camera")
    for suffixes, opener in FILE_OPENERS.items():
        if path.suffix.lower() in suffixes:
            return opener(path)
    known = ", ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))
    raise UsageError(f"{path}: '{path.suffix}' is no picture and no video that is known here; known: {known}")


def _open_camera(device: Path) -> Source:
    if not device.exists():
        found = ", ".join(sorted(str(path) for path in device.parent.glob("video*"))) or "none"
        raise DataError(device, f"no such camera; cameras here: {found}")
    with quiet_native_log(everything=True):
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise DataError(device, "cannot be opened as a camera; it may be held by another program or not be permitted")
    return CaptureSource(capture, str(device))


def _open_video(path: Path) -> Source:
    with quiet_native_log(everything=True):
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(path, "is not a video that can be decoded here")
    return CaptureSource(capture, str(path))


def _open_picture(path: Path) -> Source:
    return PictureSource([path])


FILE_OPENERS: Mapping[frozenset[str], Callable[[Path], Source]] = MappingProxyType(
    {VIDEO_SUFFIXES: _open_video, IMAGE_SUFFIXES: _open_picture}
)
