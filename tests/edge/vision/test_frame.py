"""A frame in the layouts of cameras: the colours that OpenCV makes of it, wherever it is cut."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import UsageError
from edge.vision.frame import PIXEL_FORMATS, Frame, PixelFormat, Region, window
from edge.vision.scratch import Scratch

Pixels = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 22, 36  # half of the height is odd: a plane of chroma ends in the middle of a row
OPENCV: dict[PixelFormat, int | None] = {
    "bgr": None,
    "rgb": cv2.COLOR_RGB2BGR,
    "bgra": cv2.COLOR_BGRA2BGR,
    "rgba": cv2.COLOR_RGBA2BGR,
    "grey": cv2.COLOR_GRAY2BGR,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "yuv420": cv2.COLOR_YUV2BGR_I420,
    "yuyv": cv2.COLOR_YUV2BGR_YUYV,
}
SHAPES: dict[PixelFormat, tuple[int, ...]] = {
    **dict.fromkeys(("bgr", "rgb"), (HEIGHT, WIDTH, 3)),
    **dict.fromkeys(("bgra", "rgba"), (HEIGHT, WIDTH, 4)),
    **dict.fromkeys(("nv12", "yuv420"), (HEIGHT * 3 // 2, WIDTH)),
    "grey": (HEIGHT, WIDTH),
    "yuyv": (HEIGHT, WIDTH, 2),
}


def given(layout: PixelFormat) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, SHAPES[layout], dtype=np.uint8)


def by_opencv(image: Pixels, layout: PixelFormat) -> Pixels:
    code = OPENCV[layout]
    return image if code is None else np.asarray(cv2.cvtColor(image, code), dtype=np.uint8)


@pytest.mark.parametrize("layout", PIXEL_FORMATS)
def test_a_window_is_cut_from_what_opencv_makes_of_the_whole(layout: PixelFormat) -> None:
    frame = Frame(image=given(layout), format=layout)
    whole = by_opencv(frame.image, layout)
    assert frame.size_hw == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(frame.bgr(), whole)
    np.testing.assert_array_equal(frame.rgb(), whole[:, :, ::-1])
    scratch = Scratch()
    for top, left, height, width in ((0, 0, 21, 35), (3, 5, 7, 1), (4, 7, 5, 29), (4, 7, 5, 29)):
        cut = whole[top : top + height, left : left + width]
        for room in (Scratch(), scratch):
            region = Region(top, left, height, width)
            np.testing.assert_array_equal(window(frame.image, layout, region, "bgr", room), cut)
            np.testing.assert_array_equal(window(frame.image, layout, region, "rgb", room), cut[:, :, ::-1])


@pytest.mark.parametrize("layout", PIXEL_FORMATS)
def test_what_lies_behind_the_picture_is_never_seen(layout: PixelFormat) -> None:
    frame = Frame(image=given(layout), format=layout, size_hw=(17, 31))
    np.testing.assert_array_equal(frame.bgr(), by_opencv(frame.image, layout)[:17, :31])


@pytest.mark.parametrize("layout", [name for name in PIXEL_FORMATS if name != "yuv420"])
def test_rows_may_lie_apart_in_memory(layout: PixelFormat) -> None:
    shape = SHAPES[layout]
    buffer = np.full((shape[0], 160), 77, np.uint8)
    row = given(layout).reshape(shape[0], -1)
    buffer[:, : row.shape[1]] = row
    strided = np.lib.stride_tricks.as_strided(buffer, shape, (160, *np.zeros(shape, np.uint8).strides[1:]))
    np.testing.assert_array_equal(
        Frame(image=strided, format=layout).bgr(), Frame(image=given(layout), format=layout).bgr()
    )


def test_nothing_is_copied_where_nothing_is_to_convert() -> None:
    for layout in ("bgr", "rgb"):
        frame = Frame(image=given(layout), format=layout)
        assert np.shares_memory(getattr(frame, layout)(), frame.image)


@pytest.mark.parametrize(
    ("image", "layout", "told"),
    [
        (np.zeros((4, 4), np.uint8), "bgr", r"in bgr must be an array of uint8 \(h, w, 3\), found uint8 \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "rgb", "found float32"),
        (np.zeros((0, 4, 3), np.uint8), "rgb", r"found uint8 \(0, 4, 3\)"),
        (np.zeros((4, 5, 2), np.uint8), "yuyv", r"found uint8 \(4, 5, 2\)"),
        (np.zeros((4, 6), np.uint8), "nv12", "with h and w even"),
        (np.zeros((6, 8), np.uint8)[:, :6], "yuv420", "without gaps in memory"),
        (None, "grey", "found None, which OpenCV gives"),
        ("frame.png", "bgra", "found str"),
        (np.zeros((4, 4, 3), np.uint8), "bgrr", "did you mean 'bgr'"),
    ],
)
def test_what_is_not_of_the_format_is_refused(image: Any, layout: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Frame(image=image, format=layout)


@pytest.mark.parametrize("size_hw", [(0, 3), (5, 4), (4, 5), (-1, 4)])
def test_a_picture_larger_than_its_array_is_refused(size_hw: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"is not in an array of \(4, 4, 3\) bgr"):
        Frame(image=np.zeros((4, 4, 3), np.uint8), format="bgr", size_hw=size_hw)


def test_frames_are_dated_by_the_monotonic_clock() -> None:
    first, second = (Frame(image=given("grey"), format="grey") for _ in range(2))
    assert 0 < first.captured_ns <= second.captured_ns
