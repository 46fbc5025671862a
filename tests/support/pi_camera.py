"""A stand-in for picamera2 and libcamera with the signatures of the published package, which needs a Pi's drivers.

tests/edge/camera/sources/test_pi_camera.py holds it to what picamera2's wheel says.
"""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

ALIGNMENT = 32  # bytes: rows in memory are as long as a multiple of this


@dataclass
class Transform:
    """libcamera's."""

    hflip: int = 0
    vflip: int = 0


class CompletedRequest:
    """Buffers that belong to the camera: what is not released stays away from it."""

    def __init__(self, request: Any, picam2: "Picamera2") -> None:
        self.request, self.picam2 = request, picam2
        self.ref_count = 1
        self.config = dict(picam2.camera_config)

    def release(self) -> None:
        self.ref_count -= 1
        assert self.ref_count == 0, "released twice"

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self.request}

    def make_array(self, name: str) -> np.ndarray:
        """As picamera2 makes one: packed pixels without padding, YUV420 with it."""
        assert self.ref_count == 1, "read after its release"
        width, height = self.config[name]["size"]
        stride, layout = self.config[name]["stride"], self.config[name]["format"]
        if layout == "YUV420":
            buffer = np.full((height * 3 // 2, stride), 128, np.uint8)
            buffer[:height] = 255  # padding of white
            buffer[:height, :width] = self.picam2.level
            return buffer
        channels = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4}[layout]
        buffer = np.full((height, stride), 255, np.uint8)
        buffer[:, : width * channels] = self.picam2.level
        return np.ascontiguousarray(buffer[:, : width * channels]).reshape(height, width, channels)


@dataclass
class Job:
    """What comes later; None never does."""

    result: CompletedRequest | None

    def get_result(self, timeout: float | None = None) -> CompletedRequest:
        if self.result is None:
            raise TimeoutError
        return self.result


@dataclass
class Rig:
    """What is plugged into the Pi, and what was done with it.

    Args:
        cameras: how many.
        frames: how many come before none does.
        gives_wh: the size of the preview, whatever is asked for.
    """

    cameras: int = 1
    frames: int = 1000
    gives_wh: tuple[int, int] | None = None
    made: "list[Picamera2]" = field(default_factory=list)
    requests: list[CompletedRequest] = field(default_factory=list)

    def imported(self, name: str) -> Any:
        """Import `picamera2` or `libcamera` of this rig."""
        if name == "libcamera":
            return SimpleNamespace(Transform=Transform)

        class Plugged(Picamera2):
            rig = self

        return SimpleNamespace(Picamera2=Plugged)


class Picamera2:
    """picamera2's class."""

    rig: Rig

    def __init__(
        self, camera_num: int = 0, verbose_console: Any = None, tuning: Any = None, allocator: Any = None
    ) -> None:
        if camera_num >= self.rig.cameras:
            raise IndexError("list index out of range")
        self.camera_config: dict[str, Any] = {}
        self.is_open, self.started, self.level, self.asked = True, False, 60, dict[str, Any]()
        self.rig.made.append(self)

    def create_video_configuration(
        self,
        main: Any = {},  # noqa: B006 - picamera2's
        lores: Any = None,
        raw: Any = {},  # noqa: B006
        transform: Any = Transform(),  # noqa: B008
        colour_space: Any = None,
        buffer_count: Any = 6,
        controls: Any = {},  # noqa: B006
        display: Any = "main",
        encode: Any = "main",
        queue: Any = True,
        sensor: Any = {},  # noqa: B006
        use_case: Any = "video",
    ) -> dict[str, Any]:
        self.asked = {"transform": transform, "controls": controls}
        return {"main": dict(main), "lores": None if lores is None else dict(lores)}

    def configure(self, camera_config: Any = None) -> None:
        for name, stream in camera_config.items():
            if stream is not None:
                if name == "main" and self.rig.gives_wh is not None:
                    stream["size"] = self.rig.gives_wh
                row = stream["size"][0] * {"YUV420": 1, "RGB888": 3}[stream["format"]]
                stream["stride"] = -(-row // ALIGNMENT) * ALIGNMENT
        self.camera_config = camera_config

    def camera_configuration(self) -> dict[str, Any]:
        return self.camera_config

    def start(self, config: Any = None, show_preview: Any = False) -> None:
        self.started = True

    def capture_request(self, wait: Any = None, signal_function: Any = None, flush: Any = None) -> Job:
        assert self.started and self.is_open and wait is False
        if len(self.rig.requests) >= self.rig.frames:
            return Job(None)
        self.rig.requests.append(CompletedRequest(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 5_000_000, self))
        return Job(self.rig.requests[-1])

    def wait(self, job: Job, timeout: Any = None) -> CompletedRequest:
        assert timeout is not None, "a wait without an end"
        return job.get_result(timeout=timeout)

    def close(self) -> None:
        self.is_open = False
