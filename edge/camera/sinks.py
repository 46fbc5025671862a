"""Where drawn frames go: a video file or a folder of pictures, both written whole, or a window."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError, FileError, UsageError
from edge.files.atomic import check_folder_writable, check_writable, put, replacing, replacing_folder
from edge.files.bounded_file import read_bytes
from edge.files.overwriting import foreign_entries
from edge.files.quiet import quiet_native_log

Pixels = npt.NDArray[np.uint8]
CODECS: Mapping[str, str] = MappingProxyType({".mp4": "mp4v", ".avi": "MJPG"})
DEFAULT_FRAMES_PER_SECOND = 25.0
WINDOW = "edge camera"
CLOSING_KEYS = (27, ord("q"))  # Escape
MARK = ".edge_camera"  # lies in every folder that was written here and lists what was: the next run may replace that
MOST_MARK_BYTES = 1 << 27
SPARE_BYTES = 1 << 20  # what a film's index and the muxer's buffers take beside a frame


class Sink(Protocol):
    """Takes drawn frames."""

    def write(self, image: Pixels, name: str) -> bool:
        """Take one RGB frame, uint8 (h, w, 3); False asks for no more."""
        ...


class NullSink:
    """Takes everything and keeps nothing."""

    def write(self, image: Pixels, name: str) -> bool:
        """Take a frame."""
        return True


class FolderSink:
    """One PNG per frame, named after the frame: `dog.png` for `dog.jpg`, `000012.png` for the frame 12 of a film."""

    def __init__(self, folder: Path, target: Path) -> None:
        self._folder, self._target = folder, target
        self._names: list[str] = []

    def write(self, image: Pixels, name: str) -> bool:
        """Write a frame as PNG. Refuses (FileError) a frame that cannot be encoded."""
        folders, slash, last = name.rpartition("/")
        stem = f"{folders}{slash}{Path(last).stem}".replace("/", "_") or str(len(self._names))
        stem = stem.rjust(6, "0") if stem.isdecimal() else stem
        done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if not done:
            raise FileError(self._target, f"frame '{name}' of {image.shape} cannot be encoded as PNG")
        path = self._folder / f"{stem}.png"
        if path.exists():  # dog.jpg and dog.png in one folder
            path = self._folder / f"{name.replace('/', '_')}.png"
        again = len(self._names)
        while path.exists():  # a program may give all its frames one name
            path, again = self._folder / f"{stem}_{again:06d}.png", again + 1
        put(path, data.tobytes())
        self._names.append(path.name)
        return True

    def close(self) -> None:
        """List what was written in MARK."""
        put(self._folder / MARK, json.dumps([MARK, *self._names]).encode())


class VideoSink:
    """A video; its size is that of the first frame. OpenCV says nothing of a failed write: `close` reads the film."""

    def __init__(self, path: Path, target: Path, frames_per_second: float) -> None:
        self._path, self._target, self._rate = path, target, frames_per_second
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)
        self._frames = 0

    def write(self, image: Pixels, name: str) -> bool:
        """Add a frame.

        Refuses (DataError) one of another size, and (FileError) a codec that is missing here and a disk without room
        for a frame as it is, before it is coded.
        """
        size_wh = (image.shape[1], image.shape[0])
        if self._writer is None:
            self._writer = self._open(size_wh)
        if size_wh != self._size_wh:
            raise DataError(
                name, f"is {size_wh}, the video has {self._size_wh}; write frames of many sizes to a folder"
            )
        if shutil.disk_usage(self._path.parent).free < image.nbytes + SPARE_BYTES:
            raise FileError(self._target, f"cannot be written: {os.strerror(errno.ENOSPC)}")
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._frames += 1
        return True

    def _open(self, size_wh: tuple[int, int]) -> cv2.VideoWriter:
        suffix = self._target.suffix.lower()
        with quiet_native_log(everything=True):
            # FFmpeg alone: OpenCV's own writer of AVI files aborts the process at a frame that is too large for it.
            code = cv2.VideoWriter.fourcc(*CODECS[suffix])
            writer = cv2.VideoWriter(str(self._path), cv2.CAP_FFMPEG, code, self._rate, size_wh)
        if not writer.isOpened():
            size = f"{size_wh[1]}x{size_wh[0]} pixels (height x width)"
            raise FileError(self._target, f"this OpenCV cannot write {suffix} video of {size}; write to a folder")
        self._size_wh = size_wh
        return writer

    def release(self) -> None:
        """Let the native writer go, whatever came before."""
        if self._writer is not None:
            with quiet_native_log(everything=True):
                self._writer.release()

    def close(self) -> None:
        """Finish the file. Refuses (FileError) one that cannot be read back with every frame that was written."""
        self.release()
        if self._frames == 0:
            return
        with quiet_native_log(everything=True):
            found = _frames_and_ends(self._path)
        if found != (self._frames, True, True):
            told = f"of {self._frames} frames {found[0]} are in the file, or its first or last cannot be read"
            raise FileError(self._target, f"cannot be written: {told}; is the disk full, or is there a limit on sizes?")


def _frames_and_ends(path: Path) -> tuple[int, bool, bool]:
    """How many frames a film states, and whether its first and its last can be decoded."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            return 0, False, False
        frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        first = bool(capture.read()[0])
        if frames == 1:  # nothing is found by its place once the end is read
            return frames, first, first
        capture.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
        return frames, first, bool(capture.read()[0])
    finally:
        capture.release()


class WindowSink:
    """A window on the screen; `q` or Escape asks for no more."""

    def write(self, image: Pixels, name: str) -> bool:
        """Show a frame."""
        cv2.imshow(WINDOW, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in CLOSING_KEYS


@contextmanager
def open_file_sink(target: Path | None, frames_per_second: float | None) -> Iterator[Sink]:
    """Open a `.mp4` or `.avi` file, a new folder, or nothing; what is written appears when the block ends well.

    Args:
        target: None keeps nothing. A folder of an earlier run is replaced, unless something else lies in it by now.
        frames_per_second: of the video; None is 25.

    Raises:
        UsageError: another kind of file, or a folder that holds something else.
    """
    if target is None:
        yield NullSink()
    elif target.suffix.lower() in CODECS:
        check_writable(target)
        with replacing(target) as temporary:
            film = VideoSink(temporary, target, frames_per_second or DEFAULT_FRAMES_PER_SECOND)
            try:
                yield film
                film.close()
            finally:
                film.release()
    elif target.suffix:
        raise UsageError(f"--out {target}: name a {' or '.join(sorted(CODECS))} file, or a folder for pictures")
    else:
        if foreign := foreign_entries(target, _written_before(target)):
            raise UsageError(f"--out {target}: holds '{foreign[0]}', which no earlier run wrote; name a new folder")
        check_folder_writable(target)
        with replacing_folder(target) as folder:
            pictures = FolderSink(folder, target)
            yield pictures
            pictures.close()


def _written_before(folder: Path) -> frozenset[str]:
    """The names that an earlier run lists in its folder; none where it left no list."""
    try:
        names = json.loads(read_bytes(folder / MARK, most_bytes=MOST_MARK_BYTES))
    except (FileError, ValueError, RecursionError):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


@contextmanager
def open_window() -> Iterator[Sink]:
    """Open a window. Refuses (UsageError) where there is no display or OpenCV has no windows."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("--show: no display here (DISPLAY and WAYLAND_DISPLAY are not set); use --out")
    try:
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
    except cv2.error as error:
        raise UsageError(
            "--show: this OpenCV has no windows; install opencv-python in place of the headless one"
        ) from error
    try:
        yield WindowSink()
    finally:
        cv2.destroyWindow(WINDOW)
