"""What is asked of a Video4Linux camera, and in which layout its frames arrive; OpenCV's capture is stood in for."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.sources.options import SourceOptions
from edge.camera.sources.source import Broken
from edge.camera.sources.video4linux import CameraSource
from edge.errors import DataError, UsageError
from edge.vision.frame import Frame

NOW_NS = 5_000_000_000


class Device:
    """OpenCV's capture of a camera: it gives the images in turn, and fails where one is None."""

    def __init__(self, images: Sequence[np.ndarray | None], code: str = "BGR3", opens: bool = True) -> None:
        self.images, self.opens, self.released = iter(images), opens, 0
        self.values = {
            cv2.CAP_PROP_FOURCC: float(int.from_bytes(code.encode(), "little")),
            cv2.CAP_PROP_FRAME_HEIGHT: 4.0,
            cv2.CAP_PROP_FRAME_WIDTH: 6.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_POS_MSEC: 0.0,
        }
        self.settings: list[int] = []

    def __call__(self, device: Path, settings: Sequence[int]) -> "Device":
        self.settings = list(settings)
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def get(self, key: int) -> float:
        return self.values[key]

    def set(self, key: int, value: float) -> bool:
        self.values[key] = value
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        image = next(self.images, None)
        return image is not None, image

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., CameraSource]:
    node = tmp_path / "video0"
    node.touch()

    def make(device: Device, **options: object) -> CameraSource:
        return CameraSource(
            node,
            SourceOptions(**options),  # type: ignore[arg-type]
            opened=device,
            pause=lambda seconds: None,
            clock=lambda: NOW_NS,
        )

    return make


BGR = np.zeros((4, 6, 3), np.uint8)


def test_a_camera_may_drop_a_frame_and_not_ten_in_a_row(source: Callable[..., CameraSource]) -> None:
    device, read = Device([BGR, None, None, None, BGR, BGR]), []
    with pytest.raises(DataError, match="gave 3 frames and then no more"):
        read.extend(source(device).frames())
    assert [frame.name for frame in read] == ["0", "1", "2"] and device.released == 1
    with pytest.raises(DataError, match="gives no frame"):
        next(source(Device([])).frames())
    with pytest.raises(DataError, match="cannot be opened as a camera"):
        next(source(Device([], opens=False)).frames())


def test_a_camera_that_is_unplugged_is_lost_at_once(tmp_path: Path) -> None:
    device = Device([BGR])
    with pytest.raises(DataError, match="gave 1 frames and is gone; was it unplugged"):
        list(CameraSource(tmp_path / "absent", SourceOptions(), opened=device).frames())
    assert device.released == 1


def test_numbers_go_on_after_a_reconnection(source: Callable[..., CameraSource]) -> None:
    device = Device([BGR] * 4)
    camera = source(device)
    first, second = camera.frames(), camera.frames()
    names = [next(first).name, next(first).name]
    first.close()
    assert [*names, next(second).name] == ["0", "1", "2"] and device.released == 1


@pytest.mark.parametrize(
    ("code", "shape", "layout"),
    [
        ("YUYV", (4, 6, 2), "yuyv"),
        ("NV12", (6, 6), "nv12"),
        ("GREY", (4, 6), "grey"),
        ("BGR3", (4, 6, 3), "bgr"),
        ("UYVY", (4, 6, 3), "bgr"),
    ],
)
def test_frames_stay_as_the_camera_sends_them(
    source: Callable[..., CameraSource], code: str, shape: tuple[int, ...], layout: str
) -> None:
    """OpenCV converts what the predictor does not read."""
    device = Device([np.zeros(shape, np.uint8)], code)
    frame = next(source(device).frames())
    assert isinstance(frame, Frame) and (frame.format, frame.size_hw) == (layout, (4, 6))
    assert device.values[cv2.CAP_PROP_CONVERT_RGB] == (code == "UYVY")


def test_half_a_frame_is_broken_and_never_a_picture(source: Callable[..., CameraSource]) -> None:
    """Motion JPEG without its end, cut and closed again, or no JPEG at all; raw frames with too few bytes."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].reshape(1, -1)
    half = whole[:, : whole.size // 2]
    closed = np.concatenate([half, np.array([[0xFF, 0xD9]], np.uint8)], axis=1)
    device = Device([whole, half, closed, np.zeros((1, 50), np.uint8), whole], "MJPG")
    frames = source(device).frames()
    got = [next(frames) for _ in range(5)]
    assert [isinstance(frame, Broken) for frame in got] == [False, True, True, True, False]
    assert isinstance(got[4], Frame) and np.array_equal(got[4].bgr(), cv2.imdecode(whole, cv2.IMREAD_COLOR))
    assert next(source(Device([np.zeros((5, 6), np.uint8)], "NV12")).frames()) == Broken(cause="decode error")


@pytest.mark.parametrize(("stamp_ms", "taken_ns"), [(4_900.0, 4_900_000_000), (0.0, NOW_NS), (9_000.0, NOW_NS)])
def test_the_drivers_time_is_taken_where_it_can_be_true(
    source: Callable[..., CameraSource], stamp_ms: float, taken_ns: int
) -> None:
    """On the monotonic clock a frame was taken before now; a driver with the time of day says otherwise."""
    device = Device([BGR])
    device.values[cv2.CAP_PROP_POS_MSEC] = stamp_ms
    frame = next(source(device).frames())
    assert isinstance(frame, Frame) and frame.captured_ns == taken_ns


def test_what_is_asked_for_is_given_or_refused(source: Callable[..., CameraSource]) -> None:
    device = Device([BGR], "BGR3")
    next(source(device, size_hw=(4, 6), rate=30.0, format="bgr").frames())
    asked = dict(zip(device.settings[::2], device.settings[1::2], strict=True))
    assert asked[cv2.CAP_PROP_FRAME_HEIGHT] == 4 and asked[cv2.CAP_PROP_FRAME_WIDTH] == 6
    assert asked[cv2.CAP_PROP_FPS] == 30 and asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"BGR3")
    for options, told in (
        ({"size_hw": (720, 1280)}, r"asked for size \(height x width\) 720x1280, the camera gives 4x6"),
        ({"rate": 15.0}, r"asked for rate 15\.0, the camera gives 30\.0"),
        ({"format": "mjpg"}, "asked for format mjpg, the camera gives bgr3"),
    ):
        device = Device([BGR], "BGR3")
        with pytest.raises(UsageError, match=told):
            next(source(device, **options).frames())
        assert device.released == 1
