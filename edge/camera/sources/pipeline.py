"""A GStreamer pipeline, where OpenCV was built with GStreamer: its packages on PyPI are not, Debian's is."""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import cv2
import numpy as np

from edge.camera.sources.film import stated_rate
from edge.camera.sources.source import Broken
from edge.errors import DataError, UsageError
from edge.files.quiet import quiet_native_log
from edge.vision.frame import Frame

PREFIX = "gstreamer:"
SINK = "appsink"
OpenPipeline = Callable[[str], Any]


def open_in_gstreamer(text: str) -> cv2.VideoCapture:
    """OpenCV's capture of a pipeline."""
    with quiet_native_log(everything=True):
        return cv2.VideoCapture(text, cv2.CAP_GSTREAMER)


class PipelineSource:
    """The frames that a pipeline gives to its appsink: BGR or grey, as its caps say."""

    live, pictures, timed = True, False, True

    def __init__(self, text: str, *, opened: OpenPipeline = open_in_gstreamer) -> None:
        self._text, self._opened = text, opened
        self._numbers = count()
        self.name = PREFIX + _elements(text)
        self.frames_per_second: float | None = None

    def frames(self) -> Iterator[Frame | Broken]:
        """The frames. Refuses (DataError) a pipeline that does not start, and one that ends."""
        capture = self._opened(self._text)
        try:
            if not capture.isOpened():
                raise DataError(self.name, "does not start; `gst-launch-1.0` with the same words says why")
            self.frames_per_second = stated_rate(capture)
            read = 0
            while True:
                there, image = capture.read()
                if not there:
                    raise DataError(self.name, f"gave {read} frames and then no more")
                pixels = np.asarray(image, dtype=np.uint8)
                read += 1
                yield Frame(image=pixels, format="grey" if pixels.ndim == 2 else "bgr", name=str(next(self._numbers)))
        finally:
            capture.release()

    def close(self) -> None:
        """Nothing is held beside a generator of `frames`."""


def _elements(text: str) -> str:
    """The words that begin the parts of a pipeline, none of a quoted or other value: a password may hold an `!`."""
    parts = re.split(r"\s!\s", re.sub(r'"[^"]*"|\'[^\']*\'', "", text))
    return " ! ".join(
        found[0] if (found := re.match(r"[\w/.-]+(?=[\s,]|$)", part.strip())) else "..." for part in parts
    )


def open_pipeline(text: str, *, backends: Callable[[], list[int]] = cv2.videoio_registry.getBackends) -> PipelineSource:
    """A pipeline as `gst-launch-1.0` takes it, ending in appsink.

    Refuses (UsageError) another end, and an OpenCV that has no GStreamer.
    """
    if not text.rpartition("!")[2].split()[:1] == [SINK]:
        raise UsageError(
            f"{PREFIX} a pipeline has to end in {SINK}: 'v4l2src ! videoconvert ! video/x-raw,format=BGR ! {SINK} "
            "drop=true max-buffers=1'"
        )
    if cv2.CAP_GSTREAMER not in backends():
        raise UsageError(
            f"{PREFIX} this OpenCV ({cv2.__version__}) was built without GStreamer; Debian's has it: apt install "
            "python3-opencv, and a venv with --system-site-packages without opencv-python-headless in it"
        )
    return PipelineSource(text)
