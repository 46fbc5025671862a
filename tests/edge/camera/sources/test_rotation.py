"""Frames of every layout turn as numpy turns their colours."""

import numpy as np
import pytest

from edge.camera.sources.rotation import turned
from edge.vision.frame import Frame, PixelFormat

SHAPES: dict[PixelFormat, tuple[int, ...]] = {
    "bgr": (8, 16, 3),
    "rgb": (8, 16, 3),
    "bgra": (8, 16, 4),
    "rgba": (8, 16, 4),
    "grey": (8, 16),
    "yuyv": (8, 16, 2),
    "nv12": (12, 16),
    "yuv420": (12, 16),
}


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_frame_turns_clockwise_without_its_padding(degrees: int) -> None:
    for layout, shape in SHAPES.items():
        image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        frame = Frame(image=image, format=layout, name="7", captured_ns=3, size_hw=(6, 10))
        done = turned(frame, degrees)  # type: ignore[arg-type]
        assert np.array_equal(done.bgr(), np.rot90(frame.bgr(), -degrees // 90))
        assert (done.name, done.captured_ns) == ("7", 3)
        seen = turned(Frame(image=image, format=layout, preview=frame), degrees)  # type: ignore[arg-type]
        assert seen.preview is not None and np.array_equal(seen.preview.bgr(), done.bgr())
        assert done.size_hw == ((10, 6) if degrees != 180 else (6, 10))
