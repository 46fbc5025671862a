"""A camera behind a URL (RTSP, RTMP, HTTP), read by the FFmpeg in OpenCV, with time-outs for opening and reading."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from edge.camera.sources.address import shown_url
from edge.camera.sources.film import MOST_FRAMES, stated_rate
from edge.camera.sources.jpeg_frame import jpeg_frame
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.source import Broken
from edge.errors import DataError, UsageError, unknown_name
from edge.vision.frame import Frame

PORTS: Mapping[str, int] = MappingProxyType({"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443})
SCHEMES = tuple(PORTS)
REACH_S = 2.0
TRIES = 10
MILLISECOND_NS = 1_000_000
_JPEG = int.from_bytes(b"MJPG", "little")
_AS_SENT = -1.0  # CAP_PROP_FORMAT: the bytes of a frame, not decoded
OpenUrl = Callable[[str, Sequence[int]], Any]


def open_url(url: str, settings: Sequence[int]) -> cv2.VideoCapture:
    """OpenCV's capture of a URL, opened with settings: property and value by turns."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # its warnings show the URL with the password
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, list(settings))


class UrlSource:
    """A stream behind a URL; its messages show it without its password."""

    live, pictures, timed = True, False, True

    def __init__(self, url: str, options: SourceOptions, *, opened: OpenUrl = open_url) -> None:
        self._url, self._options, self._opened = url, options, opened
        self._numbers = count()
        self.name = shown_url(url)
        self.frames_per_second: float | None = None

    def frames(self) -> Iterator[Frame | Broken]:
        """The frames since the stream was opened.

        Ends where a film ends that the server states the length of. Refuses (DataError) a stream that cannot be opened,
        and one that ends or gives no frame in time.
        """
        open_ms = self._options.open_timeout_ns // MILLISECOND_NS
        # One thread: with several, FFmpeg decodes as many frames behind.
        settings = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, open_ms, cv2.CAP_PROP_N_THREADS, 1]
        settings += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, self._options.read_timeout_ns // MILLISECOND_NS]
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its log shows the URL with the password
        asked_ns = time.monotonic_ns()
        capture = self._opened(self._url, settings)
        try:
            if not capture.isOpened():
                late = time.monotonic_ns() - asked_ns >= self._options.open_timeout_ns
                reason = f"no answer within {open_ms} ms" if late else why_unreachable(self._url)
                raise DataError(self.name, f"cannot be opened: {reason or 'what answers there gives no video'}")
            jpeg = int(capture.get(cv2.CAP_PROP_FOURCC)) == _JPEG and capture.set(cv2.CAP_PROP_FORMAT, _AS_SENT)
            self.frames_per_second = None if jpeg else stated_rate(capture)  # of Motion JPEG, FFmpeg's guess: 25
            yield from self._read(capture, jpeg=jpeg)
        finally:
            capture.release()

    def close(self) -> None:
        """Nothing is held beside a generator of `frames`."""

    def _read(self, capture: Any, *, jpeg: bool) -> Iterator[Frame | Broken]:
        stated = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        read = failed = 0
        last_ns = time.monotonic_ns()
        while failed < TRIES and time.monotonic_ns() - last_ns < self._options.read_timeout_ns:
            there, image = capture.read()
            if not there:  # one frame that cannot be decoded, or the end: the next read tells
                failed += 1
                continue
            last_ns = time.monotonic_ns()
            for _ in range(failed):
                yield Broken(cause="decode error")
            read, failed = read + 1 + failed, 0
            name = str(next(self._numbers))
            if jpeg:
                yield jpeg_frame(np.asarray(image).tobytes(), name, last_ns)
            else:
                yield Frame(image=np.asarray(image, dtype=np.uint8), format="bgr", name=name, captured_ns=last_ns)
        if not 0 < stated <= read + failed < MOST_FRAMES:
            raise DataError(self.name, f"gave {read} frames and then no more; it ended, or the network did")


def why_unreachable(url: str) -> str:
    """Why no connection to the server of a URL comes about, in the system's words; empty where one does."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme.lower()]
        with socket.create_connection((parts.hostname or "", port), REACH_S):
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError as error:  # a port that is no number, a host in unclosed brackets
        # Of a password that is not escaped, part is read as the port or host, and told.
        return "no such address" + ("; is its password escaped?" if "@" in url else f": {error}")


def names_url(text: str) -> bool:
    """Whether a text is meant as a URL."""
    return "://" in text


def open_stream(url: str, options: SourceOptions) -> UrlSource:
    """A stream by its URL. Refuses (UsageError) another scheme than those of SCHEMES."""
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise UsageError(f"{shown_url(url)}: {unknown_name('scheme of a URL', scheme, SCHEMES)}")
    return UrlSource(url, options)
