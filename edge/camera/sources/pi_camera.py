"""A camera of a Raspberry Pi by picamera2: a preview, and beside it the model's size, made by the Pi's image processor.

picamera2 and libcamera are Debian packages: they come by apt, and a virtual environment sees them with
--system-site-packages.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np

from edge.camera.sources.options import SECOND_NS, SourceOptions
from edge.camera.sources.source import Broken
from edge.errors import DataError, EngineError, UsageError
from edge.vision.frame import Frame, PixelFormat

PREFIX = "picamera2"
PREVIEW_HW = (720, 1280)
MAIN, SMALL = "main", "lores"
MAIN_FORMAT, SMALL_FORMAT = "RGB888", "YUV420"
# libcamera names the bytes of a pixel from the last to the first
_FORMATS: Mapping[str, PixelFormat] = MappingProxyType(
    {"RGB888": "bgr", "BGR888": "rgb", "XRGB8888": "bgra", "XBGR8888": "rgba", "YUV420": "yuv420"}
)
_FAILURES = (RuntimeError, OSError, TimeoutError, IndexError)
Import = Callable[[str], Any]


class PiCameraSource:
    """One camera, by its number as `rpicam-hello --list-cameras` gives it."""

    live, pictures, timed = True, False, True

    def __init__(self, number: int, options: SourceOptions, *, imported: Import = importlib.import_module) -> None:
        self._number, self._options, self._imported = number, options, imported
        self._numbers = count()
        self.name = f"{PREFIX}:{number}"
        self.frames_per_second: float | None = options.rate

    def frames(self) -> Iterator[Frame | Broken]:
        """The frames; where the options ask for a stream of the model's size, that one, with the preview beside it.

        Refuses (DataError) a camera that is not there, is held by another program, or gives no frame in time, and
        (EngineError) a Python without picamera2.
        """
        module, libcamera = self._modules()
        try:
            camera = module.Picamera2(self._number)
        except _FAILURES as error:
            raise DataError(self.name, f"cannot be opened: {_told(error)}; `rpicam-hello --list-cameras`") from error
        try:
            upside_down = int(self._options.rotate == 180)
            configuration = camera.create_video_configuration(
                main={"size": _wh(self._main_hw), "format": MAIN_FORMAT},
                lores=None if self._small_hw is None else {"size": _wh(self._small_hw), "format": SMALL_FORMAT},
                transform=libcamera.Transform(hflip=upside_down, vflip=upside_down),
                controls={} if self._options.rate is None else {"FrameRate": self._options.rate},
                display=None,
                encode=None,
            )
            camera.configure(configuration)
            self._check(camera.camera_configuration())
            camera.start()
            while True:
                job = camera.capture_request(wait=False)
                request = camera.wait(job, timeout=self._options.read_timeout_ns / SECOND_NS)
                try:
                    frame = self._frame(request)
                finally:
                    request.release()
                yield frame
        except _FAILURES as error:
            raise DataError(self.name, f"gives no frame: {_told(error)}") from error
        finally:
            camera.close()

    def close(self) -> None:
        """Nothing is held beside a generator of `frames`."""

    @property
    def _main_hw(self) -> tuple[int, int]:
        return self._options.size_hw or PREVIEW_HW

    @property
    def _small_hw(self) -> tuple[int, int] | None:
        """The smallest size of the preview's shape that covers the model's, even-sided; None where one stream does."""
        wanted = self._options.network_size_hw
        if wanted is None or self._options.rotate in (90, 270):
            return None
        height, width = self._main_hw
        scale = max(wanted[0] / height, wanted[1] / width)
        return None if scale >= 1 else (_even(height * scale), _even(width * scale))

    def _modules(self) -> tuple[Any, Any]:
        try:
            return self._imported("picamera2"), self._imported("libcamera")
        except ImportError as error:
            raise EngineError(
                f"{self.name} needs the package picamera2, which apt brings on Raspberry Pi OS: sudo apt install "
                "python3-picamera2; a virtual environment sees it with: python3 -m venv --system-site-packages "
                f"({_told(error)})"
            ) from error

    def _check(self, configuration: Mapping[str, Any]) -> None:
        """Refuse (UsageError) a size that libcamera changed."""
        for stream, wanted in ((MAIN, self._options.size_hw), (SMALL, self._small_hw)):
            if wanted is not None and tuple(configuration[stream]["size"]) != _wh(wanted):
                width, height = configuration[stream]["size"]
                asked = f"{wanted[0]}x{wanted[1]} (height x width)"
                raise UsageError(f"{self.name}: asked for {asked}, the camera gives {height}x{width}")

    def _frame(self, request: Any) -> Frame:
        stamp, now = request.get_metadata().get("SensorTimestamp"), time.monotonic_ns()
        # The sensor's clock also counts the time asleep.
        behind = 0 if stamp is None else time.clock_gettime_ns(time.CLOCK_BOOTTIME) - int(stamp)
        taken_ns, name = now - max(0, behind), str(next(self._numbers))
        preview = _picture(request, MAIN, name, taken_ns)
        return preview if self._small_hw is None else _picture(request, SMALL, name, taken_ns, preview)


def _picture(request: Any, stream: str, name: str, taken_ns: int, preview: Frame | None = None) -> Frame:
    """A copy of a stream's pixels, as the request's memory goes back to the camera; YUV420 keeps its padding."""
    width, height = request.config[stream]["size"]
    layout = _FORMATS[request.config[stream]["format"]]
    image = np.asarray(request.make_array(stream), dtype=np.uint8)
    return Frame(image=image, format=layout, name=name, captured_ns=taken_ns, size_hw=(height, width), preview=preview)


def _wh(size_hw: tuple[int, int]) -> tuple[int, int]:
    return size_hw[1], size_hw[0]


def _even(side: float) -> int:
    return 2 * -int(-side // 2)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


def open_pi_camera(text: str, options: SourceOptions) -> PiCameraSource:
    """`picamera2` or `picamera2:NUMBER`.

    Refuses (UsageError) another number, a pixel format, which the Pi's own choice serves, and (EngineError) a Python
    without picamera2.
    """
    _, separator, number = text.partition(":")
    if separator and not number.isdecimal():
        raise UsageError(f"{text}: the number of a camera stands behind the colon: {PREFIX}:0")
    if options.format is not None:
        raise UsageError(f"--format: {PREFIX} gives BGR, and YUV 4:2:0 of the model's size; leave it out")
    source = PiCameraSource(int(number or 0), options)
    source._modules()
    return source
