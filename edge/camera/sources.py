"""Where frames come from: a video file, pictures, a named split, or a camera."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np

from edge.camera.film_file import check_film, counts_exactly
from edge.data.decode import IMAGE_SUFFIXES, image_files, read_image
from edge.data.open_split import SPLIT_KINDS, open_split
from edge.data.split_file import SUFFIX
from edge.data.splits import Split
from edge.errors import DataError, EdgeError, UsageError
from edge.files.bounded_file import exists, is_dir, is_file
from edge.files.quiet import quiet_native_log
from edge.vision.frame import Frame

DEVICES = Path("/dev")
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})
MOST_FRAMES = 1 << 40  # what a container states beyond is no count
MOST_FAILED_READS = 300
ESTIMATED_SHARE = 0.9
CAMERA_TRIES = 10
CAMERA_PAUSE_S = 0.1


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
            yield Frame(image=read_image(path), format="rgb", name=path.name)

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
            yield Frame(image=self._split.image(index), format="rgb", name=self._split.name(index))

    def close(self) -> None:
        """Nothing is held."""


class FilmSource:
    """A video file, read by OpenCV up to the number of frames that it states, over damaged places."""

    pictures = False

    def __init__(self, capture: cv2.VideoCapture, name: str, *, exact: bool) -> None:
        """`exact`: the file states how many frames it gives; otherwise its count is an estimate."""
        self._capture = capture
        self._name = name
        self._exact = exact
        rate, stated = float(capture.get(cv2.CAP_PROP_FPS)), float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames_per_second: float | None = rate if 0 < rate <= 1000 else None
        self._stated = int(stated) if 0 < stated < MOST_FRAMES else 0

    def frames(self) -> Iterator[Frame]:
        """The frames until the end.

        Refuses (DataError), after the last frame, a film that gave none, fewer than it states, or only with gaps. Where
        its count is an estimate, a tenth may be missing at the end.
        """
        read = failed = in_a_row = gaps = 0
        while in_a_row < MOST_FAILED_READS and (not in_a_row or not self._stated or read + failed < self._stated):
            there, image = self._capture.read()
            if there:
                gaps += in_a_row
                in_a_row = 0
                yield Frame(image=np.asarray(image, dtype=np.uint8), format="bgr", name=str(read + failed))
                read += 1
            else:
                failed += 1
                in_a_row += 1
        if read == 0:
            raise DataError(self._name, "gives no frame: it is damaged, or holds no pictures that can be decoded here")
        if gaps or read < self._stated * (1 if self._exact else ESTIMATED_SHARE):
            about = "" if self._exact else "about "
            raise DataError(
                self._name,
                f"is damaged or cut short: {read} of {about}{max(self._stated, read + gaps)} frames were read",
            )

    def close(self) -> None:
        """Release the file."""
        self._capture.release()


class CameraSource:
    """A camera, read by OpenCV."""

    pictures = False

    def __init__(self, capture: cv2.VideoCapture, name: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._capture = capture
        self._name = name
        self._pause = pause
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self.frames_per_second: float | None = rate if 0 < rate <= 1000 else None

    def frames(self) -> Iterator[Frame]:
        """The frames, without end. Refuses (DataError) a camera that fails CAMERA_TRIES times in a row."""
        read = failed = 0
        while failed < CAMERA_TRIES:
            there, image = self._capture.read()
            if there:
                yield Frame(image=np.asarray(image, dtype=np.uint8), format="bgr", name=str(read))
                read, failed = read + 1, 0
            else:
                failed += 1
                self._pause(CAMERA_PAUSE_S)
        if read == 0:
            raise DataError(self._name, "gives no frame; does another program hold the camera?")
        raise DataError(self._name, f"gave {read} frames and then no more; was it unplugged?")

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()


class UntilFailure:
    """A source whose failure after the first frame ends it and is kept, so that what was seen can be kept too."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.pictures = source.pictures
        self.frames_per_second = source.frames_per_second
        self.failure: EdgeError | None = None

    def frames(self) -> Iterator[Frame]:
        """The frames before the failure. Refuses (EdgeError) a source that fails before the first."""
        seen = False
        try:
            for frame in self._source.frames():
                yield frame
                seen = True
        except EdgeError as error:
            if not seen:
                raise
            self.failure = error

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def open_source(text: str) -> Source:
    """Open what a `--source` names.

    Args:
        text: a folder of pictures, one picture, a video file, a camera's number (`0`) or device (`/dev/video0`), or a
            split (`generated:segment:val`, `camvid:FOLDER:val`, `recipe:RUN:val`,
            `FILE.split.json`).

    Raises:
        DataError: nothing there, or it cannot be opened.
        UsageError: a file of another kind.
    """
    if text.endswith(SUFFIX) or (text.split(":", 1)[0] in SPLIT_KINDS and ":" in text):
        return SplitSource(open_split(split=text))
    if text.isdecimal():
        return _open_camera(DEVICES / f"video{text}")
    path = Path(text)
    if re.fullmatch(r"video\d+", path.name) and path.parent == DEVICES:
        return _open_camera(path)
    if is_dir(path):
        pictures = image_files(path)
        if not pictures:
            raise DataError(path, f"holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return PictureSource(pictures)
    if not is_file(path):
        raise DataError(path, "no such file, folder or camera")
    for suffixes, opener in FILE_OPENERS.items():
        if path.suffix.lower() in suffixes:
            return opener(path)
    known = ", ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))
    raise UsageError(f"{path}: '{path.suffix}' is neither a picture nor a video of a known kind; known: {known}")


def _open_camera(device: Path) -> Source:
    if not exists(device):
        found = ", ".join(sorted(str(path) for path in device.parent.glob("video*"))) or "none"
        raise UsageError(f"{device}: no such camera; cameras here: {found}")
    with quiet_native_log(everything=True):
        capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise DataError(device, "cannot be opened as a camera; it may be held by another program or not be permitted")
    return CameraSource(capture, str(device))


def _open_video(path: Path) -> Source:
    check_film(path)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else its decoder tells of every damaged frame
    with quiet_native_log(everything=True):
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(path, "is not a video that can be decoded here")
    return FilmSource(capture, str(path), exact=counts_exactly(path))


def _open_picture(path: Path) -> Source:
    return PictureSource([path])


FILE_OPENERS: Mapping[frozenset[str], Callable[[Path], Source]] = MappingProxyType(
    {VIDEO_SUFFIXES: _open_video, IMAGE_SUFFIXES: _open_picture}
)
