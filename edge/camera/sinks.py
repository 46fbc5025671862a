"""Where drawn frames go: a video file or a folder of pictures, both written whole, or a window."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge.atomic import replacing, replacing_folder
from edge.errors import DataError, FileError, UsageError
from edge.runtime.quiet import quiet_native_log

Pixels = npt.NDArray[np.uint8]
CODECS: Mapping[str, str] = MappingProxyType({".mp4": "mp4v", ".avi": "MJPG"})
DEFAULT_FRAMES_PER_SECOND = 25.0
WINDOW = "edge camera"
CLOSING_KEYS = (27, ord("q"))  # Escape
MARK = ".edge_camera"  # lies in every folder that was written here, so that the next run may replace it


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

    def write(self, image: Pixels, name: str) -> bool:
        """Write a frame as PNG. Refuses (FileError) what the file system refuses."""
        stem = Path(name).with_suffix("").as_posix().replace("/", "_")
        stem = stem.rjust(6, "0") if stem.isdecimal() else stem
        done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if not done:
            raise FileError(self._target, f"frame '{name}' of {image.shape} cannot be encoded as PNG")
        path = self._folder / f"{stem}.png"
        if path.exists():  # dog.jpg and dog.png in one folder
            path = self._folder / f"{name.replace('/', '_')}.png"
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise FileError(self._target, f"cannot be written: {error.strerror}") from error
        return True


class VideoSink:
    """A video; its size is that of the first frame."""

    def __init__(self, path: Path, target: Path, frames_per_second: float) -> None:
        self._path, self._target, self._rate = path, target, frames_per_second
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)

    def write(self, image: Pixels, name: str) -> bool:
        """Add a frame. Refuses (DataError) one of another size, and (FileError) a codec that is missing here."""
        size_wh = (image.shape[1], image.shape[0])
        if self._writer is None:
            self._writer = self._open(size_wh)
        if size_wh != self._size_wh:
            raise DataError(
                name, f"is {size_wh}, the video has {self._size_wh}; write frames of many sizes to a folder"
            )
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return True

    def _open(self, size_wh: tuple[int, int]) -> cv2.VideoWriter:
        code = cv2.VideoWriter.fourcc(*CODECS[self._target.suffix.lower()])
        with quiet_native_log(everything=True):
            writer = cv2.VideoWriter(str(self._path), code, self._rate, size_wh)
        if not writer.isOpened():
            raise FileError(self._target, f"this OpenCV cannot write {self._target.suffix} video; write to a folder")
        self._size_wh = size_wh
        return writer

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


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
        target: None keeps nothing. A folder of an earlier run is replaced.
        frames_per_second: of the video; None is 25.

    Raises:
        UsageError: another kind of file, or a folder that holds something else.
    """
    if target is None:
        yield NullSink()
    elif target.suffix.lower() in CODECS:
        with replacing(target) as temporary:
            sink = VideoSink(temporary, target, frames_per_second or DEFAULT_FRAMES_PER_SECOND)
            try:
                yield sink
            finally:
                sink.close()
    elif target.suffix:
        raise UsageError(f"--out {target}: name a {' or '.join(sorted(CODECS))} file, or a folder for pictures")
    elif target.is_dir() and any(target.iterdir()) and not (target / MARK).exists():
        raise UsageError(f"--out {target}: the folder is not empty and not from an earlier run; name a new one")
    else:
        with replacing_folder(target) as folder:
            (folder / MARK).touch()
            yield FolderSink(folder, target)


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
