"""A GStreamer pipeline is refused where it cannot run, and its properties are shown nowhere."""

import cv2
import numpy as np
import pytest

from edge.camera.sources.opening import open_source
from edge.camera.sources.pipeline import PipelineSource, open_pipeline
from edge.errors import DataError, UsageError
from edge.vision.frame import Frame

TEXT = "rtspsrc location=rtsp://h/a user-id=me user-pw=secret ! decodebin ! videoconvert ! appsink drop=true"


class Pipeline:
    """OpenCV's capture of one that gives these images."""

    def __init__(self, *images: np.ndarray) -> None:
        self.images, self.released = iter(images), 0

    def __call__(self, text: str) -> "Pipeline":
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, key: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        image = next(self.images, None)
        return image is not None, image

    def release(self) -> None:
        self.released += 1


def test_an_opencv_without_gstreamer_says_where_there_is_one() -> None:
    with pytest.raises(UsageError, match=r"was built without GStreamer; Debian's has it: apt install python3-opencv"):
        open_pipeline(TEXT, backends=list)
    assert isinstance(open_pipeline(TEXT, backends=lambda: [cv2.CAP_GSTREAMER]), PipelineSource)


@pytest.mark.parametrize("text", ["videotestsrc ! autovideosink", "videotestsrc", ""])
def test_a_pipeline_without_an_appsink_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a pipeline has to end in appsink"):
        open_source(f"gstreamer:{text}")


def test_frames_are_bgr_or_grey_and_the_end_is_said_without_a_password() -> None:
    capture = Pipeline(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8))
    found: list[str] = []
    with pytest.raises(DataError) as caught:
        for frame in PipelineSource(TEXT, opened=capture).frames():
            assert isinstance(frame, Frame)
            found.append(frame.format)
    assert found == ["bgr", "grey"] and capture.released == 1
    told = "gstreamer:rtspsrc ! decodebin ! videoconvert ! appsink: gave 2 frames and then no more"
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtspsrc location=rtsp://u:pa!ss@host/x ! decodebin ! appsink", "rtspsrc ! decodebin ! appsink"),
        ('rtspsrc location="rtsp://u:a ! secret @host/x" ! appsink', "rtspsrc ! appsink"),
        ("v4l2src ! video/x-raw,width=640 ! appsink drop=true", "v4l2src ! video/x-raw ! appsink"),
        ("location=secret ! appsink", "... ! appsink"),
    ],
)
def test_its_name_holds_no_value(text: str, name: str) -> None:
    assert PipelineSource(text).name == f"gstreamer:{name}"
