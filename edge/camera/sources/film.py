"""A video file as frames, none left out."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge.camera.sources.film_file import check_film, counts_exactly
from edge.errors import DataError
from edge.files.quiet import quiet_native_log
from edge.vision.frame import Frame

MOST_FRAMES = 1 << 40  # what a container states beyond is no count
MOST_FAILED_READS = 300
ESTIMATED_SHARE = 0.9
HIGHEST_RATE = 1000
CLOSE_S = 1.0


class FilmSource:
    """A video file, read by OpenCV up to the number of frames that it states, over damaged places."""

    live = pictures = timed = False

    def __init__(self, capture: cv2.VideoCapture, name: str, *, exact: bool) -> None:
        """`exact`: the file states how many frames it gives; otherwise its count is an estimate."""
        self._capture = capture
        self.name = name
        self._exact = exact
        self._lock = threading.Lock()  # a capture that is released while another thread reads ends the process
        self._closed = False
        self.frames_per_second = stated_rate(capture)
        stated = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._stated = int(stated) if 0 < stated < MOST_FRAMES else 0

    def frames(self) -> Iterator[Frame]:
        """The frames until the end.

        Refuses (DataError), after the last frame, a film that gave none, fewer than it states, or only with gaps. Where
        its count is an estimate, a tenth may be missing at the end.
        """
        read = failed = in_a_row = gaps = 0
        while in_a_row < MOST_FAILED_READS and (not in_a_row or not self._stated or read + failed < self._stated):
            with self._lock:
                if self._closed:
                    return
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
            raise DataError(self.name, "gives no frame: it is damaged, or holds no pictures that can be decoded here")
        if gaps or read < self._stated * (1 if self._exact else ESTIMATED_SHARE):
            about = "" if self._exact else "about "
            raise DataError(
                self.name,
                f"is damaged or cut short: {read} of {about}{max(self._stated, read + gaps)} frames were read",
            )

    def close(self) -> None:
        """Release the file, after the read at hand; `frames` ends.

        A read that does not come back in CLOSE_S, from a disk that is gone, is left to itself with the file.
        """
        self._closed = True
        if self._lock.acquire(timeout=CLOSE_S):
            self._capture.release()
            self._lock.release()


def stated_rate(capture: cv2.VideoCapture) -> float | None:
    """Frames per second, as the container or driver says; None where it says nothing that can be."""
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 0 < rate <= HIGHEST_RATE else None


def open_film(path: Path) -> FilmSource:
    """Open a video file. Refuses (DataError) one that begins as none, or cannot be decoded here."""
    check_film(path)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else its decoder tells of every damaged frame
    with quiet_native_log(everything=True):
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(path, "is not a video that can be decoded here")
    return FilmSource(capture, str(path), exact=counts_exactly(path))
