"""A camera behind a URL: a server in this process, read by the FFmpeg in OpenCV."""

import base64
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.sources.network import UrlSource
from edge.camera.sources.opening import open_source
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.source import Broken
from edge.cli.unforeseen import unforeseen_line
from edge.errors import DataError, UsageError
from edge.vision.frame import Frame
from tests.support.mjpeg_server import LOGIN, MjpegServer
from tests.support.numbered_frames import number_of

SECOND = 1_000_000_000
OPTIONS = SourceOptions(open_timeout_ns=20 * SECOND, read_timeout_ns=20 * SECOND)
IMPATIENT = SourceOptions(open_timeout_ns=SECOND // 2, read_timeout_ns=SECOND // 5)
ONCE_OPEN = SourceOptions(open_timeout_ns=20 * SECOND, read_timeout_ns=SECOND)  # impatient with what a server sends
SECRET = "s3cret-word"


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    running = MjpegServer()
    yield running
    running.kill()


def test_frames_arrive_with_their_numbers_and_half_ones_are_broken(server: MjpegServer) -> None:
    """And the login reaches the server."""
    source = open_source(server.url, OPTIONS)
    assert (source.live, source.pictures, source.timed) == (True, False, True)
    frames = source.frames()
    first = next(frames)
    assert isinstance(first, Frame) and first.size_hw == (64, 64)
    server.cut = 2
    got = [next(frames) for _ in range(12)]
    frames.close()  # type: ignore[attr-defined]
    numbers = [None if isinstance(frame, Broken) else number_of(frame.bgr()) for frame in got]
    start = number_of(first.bgr())
    assert [number for number in numbers if number is not None] == [
        start + 1 + index for index, number in enumerate(numbers) if number is not None
    ]
    assert numbers.count(None) == 2
    assert server.asked[-1] == f"Basic {base64.b64encode(LOGIN.encode()).decode()}"


@pytest.mark.unhurried
def test_a_server_that_falls_silent_is_lost_after_the_time_out(server: MjpegServer) -> None:
    frames = UrlSource(server.url, ONCE_OPEN).frames()
    next(frames)
    server.silent.set()
    with pytest.raises(DataError, match=r"gave \d+ frames and then no more"):
        list(frames)


def test_a_server_that_does_not_answer_is_lost_after_the_time_out(server: MjpegServer) -> None:
    server.silent.set()
    with pytest.raises(DataError, match="cannot be opened: no answer within 500 ms"):
        next(UrlSource(server.url, IMPATIENT).frames())


def test_a_password_is_in_no_message_and_no_log(
    server: MjpegServer, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the server that is there, of one that is gone, and in the file of an unforeseen error."""
    url = server.url
    source = UrlSource(url, OPTIONS)
    next(source.frames())
    server.kill()
    with pytest.raises(DataError) as caught:
        next(source.frames())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    line = unforeseen_line(ValueError(f"about {url}"), ["camera", "artifact", "--source", url])
    (written,) = tmp_path.glob("edge-error-*.txt")
    told = capfd.readouterr()
    for text in (str(caught.value), source.name, line, written.read_text(), told.out, told.err):
        assert SECRET not in text and "user" not in text
    assert "http://***@127.0.0.1:" in str(caught.value) and "http://***@" in written.read_text()
    server.start()


def test_a_misspelt_url_is_refused_without_its_password() -> None:
    with pytest.raises(UsageError) as caught:
        open_source("rtps://user:s3cret-word@host/a")
    assert str(caught.value) == "rtps://***@host/a: unknown scheme of a URL 'rtps'; did you mean 'rtsps'?"


class Stream:
    """OpenCV's capture of a URL that gives what a pattern says: x a frame, - none."""

    def __init__(self, pattern: str, stated: float = -1.0) -> None:
        self.pattern, self.stated, self.settings, self.released = iter(pattern), stated, list[int](), 0

    def __call__(self, url: str, settings: Sequence[int]) -> "Stream":
        self.settings = list(settings)
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FRAME_COUNT: self.stated, cv2.CAP_PROP_FPS: 12.5}.get(key, 0.0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        there = next(self.pattern, "-") == "x"
        return there, np.zeros((4, 6, 3), np.uint8) if there else None

    def release(self) -> None:
        self.released += 1


class Unopened(Stream):
    """One that OpenCV could not open."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return False


@pytest.mark.parametrize("url", ["rtsp://user:s3cret#-word@host/a", "http://[s3cret@host/", "http://u:s3cret?@h:x/"])
def test_no_part_of_a_password_that_is_not_escaped_is_told_as_a_port_or_host(url: str) -> None:
    with pytest.raises(DataError, match="cannot be opened: no such address; is its password escaped") as caught:
        next(UrlSource(url, OPTIONS, opened=Unopened("")).frames())
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_gone_or_gives_no_video_is_told_apart(server: MjpegServer) -> None:
    """Neither waits for the time-out, and neither says that it did."""
    with pytest.raises(DataError, match="cannot be opened: what answers there gives no video"):
        next(UrlSource(server.url, OPTIONS, opened=Unopened("")).frames())
    server.kill()
    with pytest.raises(DataError, match="cannot be opened: connection refused"):
        next(UrlSource(server.url, OPTIONS).frames())


def test_the_time_outs_are_given_to_ffmpeg() -> None:
    stream = Stream("x")
    source = UrlSource("rtsp://host/a", OPTIONS, opened=stream)
    next(source.frames())
    settings = dict(zip(stream.settings[::2], stream.settings[1::2], strict=True))
    assert settings[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] == settings[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == 20_000
    assert settings[cv2.CAP_PROP_N_THREADS] == 1
    assert source.frames_per_second == 12.5


def test_a_frame_that_cannot_be_decoded_is_broken_and_the_end_is_none() -> None:
    stream = Stream("xx-x--x")
    found: list[str] = []
    with pytest.raises(DataError, match="gave 7 frames and then no more"):
        for frame in UrlSource("rtsp://host/a", OPTIONS, opened=stream).frames():
            found.append(frame.cause if isinstance(frame, Broken) else frame.name)  # noqa: PERF401 - until it raises
    assert found == ["0", "1", "decode error", "2", "decode error", "decode error", "3"]
    assert stream.released == 1


def test_a_film_behind_a_url_ends_where_its_server_says() -> None:
    assert len(list(UrlSource("http://host/a.mp4", OPTIONS, opened=Stream("xxx", 3.0)).frames())) == 3


def test_ffmpeg_is_told_to_keep_the_address_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENCV_FFMPEG_LOGLEVEL", raising=False)
    next(UrlSource("rtsp://host/a", OPTIONS, opened=Stream("x")).frames())
    assert os.environ.pop("OPENCV_FFMPEG_LOGLEVEL") == "-8"


def test_a_frame_is_as_old_as_its_arrival() -> None:
    before = time.monotonic_ns()
    frame = next(UrlSource("rtsp://host/a", OPTIONS, opened=Stream("x")).frames())
    assert isinstance(frame, Frame) and before <= frame.captured_ns <= time.monotonic_ns()
