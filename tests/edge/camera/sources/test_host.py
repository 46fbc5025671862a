"""A program pushes its own frames."""

import numpy as np
import pytest

from edge.camera.sources.host import MOST_WAITING, HostSource
from edge.camera.sources.source import Broken
from edge.errors import UsageError
from edge.vision.frame import Frame


def test_frames_come_out_as_they_were_pushed_and_end_where_it_says() -> None:
    source = HostSource()
    source.push(np.zeros((6, 4), np.uint8), "nv12")
    source.push(Frame(image=np.zeros((4, 4, 3), np.uint8), format="rgb", name="mine", captured_ns=5))
    source.end()
    first, second = source.frames()
    assert isinstance(first, Frame) and (first.format, first.name, first.size_hw) == ("nv12", "0", (4, 4))
    assert isinstance(second, Frame) and (second.name, second.captured_ns) == ("mine", 5)


def test_a_push_never_waits_and_what_it_replaces_is_counted() -> None:
    source = HostSource()
    for number in range(MOST_WAITING + 3):
        source.push(np.full((2, 2, 3), number, np.uint8))
    source.close()
    got = list(source.frames())
    assert got[:3] == [Broken(cause="overwritten")] * 3
    assert [frame.name for frame in got[3:] if isinstance(frame, Frame)] == ["3", "4", "5", "6"]


def test_what_is_no_frame_is_refused() -> None:
    source = HostSource("the app")
    with pytest.raises(UsageError, match=r"must be an array of uint8 \(h, w, 3\)"):
        source.push(np.zeros((4, 4), np.uint8))
    source.end()
    with pytest.raises(UsageError, match="the app: a frame was pushed after the end"):
        source.push(np.zeros((4, 4, 3), np.uint8))
