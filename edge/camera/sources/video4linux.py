"""A USB or other Video4Linux camera, read by OpenCV, its frames left in the layout in which the camera sends them.

Motion JPEG is decoded here: OpenCV's own decoder of it fills what is missing of a frame with grey and says nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from edge.camera.sources.film import stated_rate
from edge.camera.sources.jpeg_frame import jpeg_frame
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.source import Broken
from edge.errors import DataError, UsageError
from edge.files.bounded_file import exists
from edge.files.quiet import quiet_native_log
from edge.vision.frame import Frame, PixelFormat

DEVICES = Path("/dev")
TRIES = 10
PAUSE_S = 0.1
BUFFERS = 2  # the driver fills one while the other is read: of more, the oldest would be read first
OLDEST_STAMP_NS = 10_000_000_000
RATE_TOLERANCE = 0.02
CODES: Mapping[str, str] = MappingProxyType(
    {"mjpg": "MJPG", "yuyv": "YUYV", "nv12": "NV12", "grey": "GREY", "bgr": "BGR3"}
)
_FORMATS: Mapping[str, PixelFormat] = MappingProxyType(
    {"YUYV": "yuyv", "NV12": "nv12", "GREY": "grey", "BGR3": "bgr", "YU12": "yuv420", "RGB3": "rgb"}
)
OpenDevice = Callable[[Path, Sequence[int]], Any]


def open_device(device: Path, settings: Sequence[int]) -> cv2.VideoCapture:
    """OpenCV's capture of a device, opened with settings: property and value by turns."""
    with quiet_native_log(everything=True):
        return cv2.VideoCapture(str(device), cv2.CAP_V4L2, list(settings))


class CameraSource:
    """A Video4Linux device."""

    live, pictures, timed = True, False, True

    def __init__(
        self,
        device: Path,
        options: SourceOptions,
        *,
        opened: OpenDevice = open_device,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._device, self._options = device, options
        self._opened, self._pause, self._clock = opened, pause, clock
        self._numbers = count()
        self.name = str(device)
        self.frames_per_second: float | None = options.rate

    def frames(self) -> Iterator[Frame | Broken]:
        """The frames since the device was opened, without end.

        Refuses (DataError) a device that is gone, cannot be opened, or fails TRIES times in a row, and (UsageError)
        one that does not give what the options ask for.
        """
        capture = self._opened(self._device, self._settings())
        try:
            if not capture.isOpened():
                raise DataError(
                    self._device, "cannot be opened as a camera; it may be held by another program or not be permitted"
                )
            code = self._checked(capture)
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0 if code == "MJPG" or code in _FORMATS else 1)
            self.frames_per_second = stated_rate(capture)
            yield from self._read(capture, code)
        finally:
            capture.release()

    def close(self) -> None:
        """Nothing is held beside a generator of `frames`."""

    def _settings(self) -> list[int]:
        options = self._options
        settings = [cv2.CAP_PROP_BUFFERSIZE, BUFFERS]
        if options.format is not None:
            settings += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*CODES[options.format])]
        if options.size_hw is not None:
            height, width = options.size_hw
            settings += [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
        if options.rate is not None:
            settings += [cv2.CAP_PROP_FPS, round(options.rate)]
        return settings

    def _checked(self, capture: Any) -> str:
        """The four characters of the layout that is sent. Refuses (UsageError) what was not asked for."""
        code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=False).decode("latin-1")
        found_hw = (int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
        asked, rate = self._options, stated_rate(capture)
        for what, wanted, found, holds in (
            ("format", asked.format, code.strip().lower(), asked.format and code == CODES[asked.format]),
            ("size (height x width)", _size(asked.size_hw), _size(found_hw), asked.size_hw == found_hw),
            ("rate", asked.rate, rate, asked.rate and abs((rate or 0) / asked.rate - 1) <= RATE_TOLERANCE),
        ):
            if wanted is not None and not holds:
                raise UsageError(
                    f"{self._device}: asked for {what} {wanted}, the camera gives {found}; "
                    f"`v4l2-ctl -d {self._device} --list-formats-ext` lists what it can"
                )
        return code

    def _read(self, capture: Any, code: str) -> Iterator[Frame | Broken]:
        read = failed = 0
        while failed < TRIES:
            there, image = capture.read()
            if there:
                now = self._clock()
                stamp = int(capture.get(cv2.CAP_PROP_POS_MSEC) * 1_000_000)  # of the driver, on the monotonic clock
                taken_ns = stamp if 0 < stamp <= now <= stamp + OLDEST_STAMP_NS else now
                yield _frame(np.asarray(image), code, str(next(self._numbers)), taken_ns)
                read, failed = read + 1, 0
            elif not exists(self._device):
                raise DataError(self._device, f"gave {read} frames and is gone; was it unplugged?")
            else:
                failed += 1
                self._pause(PAUSE_S)
        if read == 0:
            raise DataError(self._device, "gives no frame; does another program hold the camera?")
        raise DataError(self._device, f"gave {read} frames and then no more; was it unplugged?")


def _frame(image: np.ndarray[Any, Any], code: str, name: str, taken_ns: int) -> Frame | Broken:
    if code == "MJPG":
        return jpeg_frame(image.tobytes(), name, taken_ns)
    try:
        return Frame(image=image, format=_FORMATS.get(code, "bgr"), name=name, captured_ns=taken_ns)
    except UsageError:  # fewer bytes than the layout has
        return Broken(cause="decode error")


def _size(size_hw: tuple[int, int] | None) -> str | None:
    return None if size_hw is None else f"{size_hw[0]}x{size_hw[1]}"


def open_camera(device: Path, options: SourceOptions) -> CameraSource:
    """A camera by its device. Refuses (UsageError) one that is not there, unless it is to be waited for."""
    if not options.wait_for_source and not exists(device):
        found = ", ".join(sorted(str(path) for path in device.parent.glob("video*"))) or "none"
        raise UsageError(f"{device}: no such camera; cameras here: {found}")
    return CameraSource(device, options)
