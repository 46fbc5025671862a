"""A recording without end: numbered films of a length, each of which plays up to the cut; the oldest are deleted."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge import terminal
from edge.camera.mjpeg_film import MOST_FILM_BYTES, MjpegFilm, finish_cut_film, is_our_film
from edge.errors import FileError, UsageError
from edge.files.bounded_file import folder_entries

Pixels = npt.NDArray[np.uint8]
SUFFIX = ".avi"
SYNC_NS = 1_000_000_000
JPEG_QUALITY = 85
_SHORTEST_MEASURED_NS = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Segments:
    """How a recording is cut, and how much of it is kept.

    Attributes:
        length_ns: of a film; it ends earlier at another size of frames, at MOST_FILM_BYTES and at half of `keep_bytes`.
        keep: films at most, the one that is being written among them; None: all.
        keep_bytes: of all films together, at most; None: no limit.
        end_when_full: a disk that takes no more ends the run; False: the recording alone, with a line.
    """

    length_ns: int
    keep: int | None = None
    keep_bytes: int | None = None
    end_when_full: bool = False

    def __post_init__(self) -> None:
        if self.length_ns <= 0:
            raise UsageError(f"a segment of {self.length_ns} ns; a length above zero is needed")
        for name, value in (("films", self.keep), ("bytes", self.keep_bytes)):
            if value is not None and value < 1:
                raise UsageError(f"{value} {name} to keep; at least 1 is needed")


class SegmentSink:
    """Frames as JPEG pictures in numbered films; see `open_segments`."""

    def __init__(
        self,
        folder: Path,
        segments: Segments,
        frames_per_second: float,
        *,
        live: bool,
        tell: Callable[[str], None],
        clock: Callable[[], int],
    ) -> None:
        self._folder, self._segments, self._live = folder, segments, live
        self._nominal, self._tell, self._clock = frames_per_second, tell, clock
        self._film: MjpegFilm | None = None
        self._size_wh = (0, 0)
        self._started_ns = self._synced_ns = 0
        self._ended = False
        self.films = self.frames = 0
        # Films by their number, with their sizes; those of earlier runs are continued, and deleted as these.
        self._kept = {path: path.stat().st_size for path in _films(folder)}
        self._number = max((int(path.stem) for path in _numbered(folder)), default=0)

    def write(self, image: Pixels, name: str) -> bool:
        """Record one RGB frame, uint8 (h, w, 3).

        Refuses (FileError) a frame that cannot be encoded, and, where `end_when_full` asks for it, a disk that takes no
        more; otherwise that ends the recording with a line.
        """
        if self._ended:
            return True
        coded, data = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not coded:
            raise FileError(self._folder, f"frame '{name}' of {image.shape[:2]} cannot be encoded as JPEG")
        try:
            self._add(data.tobytes(), (image.shape[1], image.shape[0]))
        except OSError as error:
            self._end(error)
        return True

    def close(self) -> None:
        """Finish the film at hand. Refuses (FileError) a disk that fails."""
        film, self._film = self._film, None
        try:
            if film is not None:
                film.close()
        except OSError as error:
            raise FileError(self._folder, f"cannot be written: {error.strerror}") from error

    def _add(self, jpeg: bytes, size_wh: tuple[int, int]) -> None:
        now_ns = self._clock()
        if self._film is None or self._is_over(self._film, size_wh, now_ns):
            self._next(size_wh, now_ns)
        assert self._film is not None
        self._delete(self._film.size_bytes + len(jpeg))
        self._film.add(jpeg, self._rate(self._film, now_ns))
        self.frames += 1
        if now_ns - self._synced_ns >= SYNC_NS:
            self._film.sync()
            self._synced_ns = now_ns

    def _is_over(self, film: MjpegFilm, size_wh: tuple[int, int], now_ns: int) -> bool:
        most = min(MOST_FILM_BYTES, (self._segments.keep_bytes or 2 * MOST_FILM_BYTES) // 2)
        passed_ns = now_ns - self._started_ns if self._live else film.frames * 1e9 / self._nominal
        return size_wh != self._size_wh or passed_ns >= self._segments.length_ns or film.size_bytes >= most

    def _next(self, size_wh: tuple[int, int], now_ns: int) -> None:
        film, self._film = self._film, None
        if film is not None:
            film.close()
            path = self._path()
            self._kept[path] = path.stat().st_size
        self._delete(0)
        self._number += 1
        self._film = MjpegFilm(self._path(), size_wh, self._nominal)
        self._size_wh, self._started_ns, self._synced_ns = size_wh, now_ns, now_ns
        self.films += 1

    def _rate(self, film: MjpegFilm, now_ns: int) -> float | None:
        """Frames per second as they came; of a source that is no camera those that it states."""
        passed_ns = now_ns - self._started_ns
        return film.frames * 1e9 / passed_ns if self._live and passed_ns >= _SHORTEST_MEASURED_NS else None

    def _delete(self, open_bytes: int) -> None:
        """Delete the oldest films until as many are left, beside the one at hand, as may be."""
        most, most_bytes = self._segments.keep, self._segments.keep_bytes
        while self._kept and (
            (most is not None and len(self._kept) >= most)
            or (most_bytes is not None and sum(self._kept.values()) + open_bytes > most_bytes)
        ):
            oldest = next(iter(self._kept))
            oldest.unlink(missing_ok=True)
            del self._kept[oldest]

    def _end(self, error: OSError) -> None:
        """What was recorded is finished as far as the disk lets it be."""
        self._ended = True
        film, self._film = self._film, None
        if film is not None:
            try:
                film.close()
            except OSError as second:  # it plays without its index
                error = second
        told = f"cannot be written: {error.strerror}; the {self.frames} frames before are kept"
        if self._segments.end_when_full:
            raise FileError(self._folder, told) from error
        self._tell(f"recording ended: {self._folder} {told}")

    def _path(self) -> Path:
        return self._folder / f"{self._number:06d}{SUFFIX}"


@contextmanager
def open_segments(
    folder: Path,
    segments: Segments,
    frames_per_second: float,
    *,
    live: bool,
    tell: Callable[[str], None] = terminal.tell,
    clock: Callable[[], int] = time.monotonic_ns,
) -> Iterator[SegmentSink]:
    """Record into a folder: `000001.avi` and so on, behind the films that are there; one that was cut is finished.

    Films of earlier runs count as this one's; nothing else in the folder is touched. What was written a second ago is
    on the disk, so that neither a killed process nor a power cut loses more than that.

    Args:
        frames_per_second: at which films play. live: a camera's frames; the rate at which they come is measured, and a
            film lasts as long as its frames took. Otherwise both are counted by the stated rate.
        tell: takes the line of a recording that a full disk ends.
        clock: nanoseconds.

    Raises:
        FileError: the folder cannot be made or written, or another process records into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FileError(folder, f"cannot be recorded into: {error.strerror}") from error
    try:
        _hold_alone(holder, folder)
        for path in _films(folder):
            if finish_cut_film(path):
                tell(f"{path}: was cut off, and is finished now")
        sink = SegmentSink(folder, segments, frames_per_second, live=live, tell=tell, clock=clock)
        try:
            yield sink
        finally:
            sink.close()
    finally:
        os.close(holder)


def _hold_alone(holder: int, folder: Path) -> None:
    import fcntl  # not on every system that imports this module

    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileError(folder, "another process records into it; name another folder") from error
    except OSError as error:  # a file system without locks
        raise FileError(folder, f"cannot be held against other processes: {error.strerror}") from error


def _numbered(folder: Path) -> list[Path]:
    """What has a film's name, by its number."""
    found = [path for path in folder_entries(folder) if path.suffix == SUFFIX and path.stem.isdecimal()]
    return sorted(found, key=lambda path: (int(path.stem), path.name))


def _films(folder: Path) -> list[Path]:
    return [path for path in _numbered(folder) if is_our_film(path)]
