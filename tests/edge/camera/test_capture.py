"""The newest frame of what is live, every frame of a file, and none that never was; faults end and leave nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.camera.backoff import Backoff
from edge.camera.capture import MOST_STUCK, Capture
from edge.camera.sources.film import open_film
from edge.camera.sources.host import HostSource
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.source import Broken
from edge.errors import DataError, EdgeError, UsageError
from edge.vision.frame import Frame
from tests.support.numbered_frames import number_of, numbered

MILLISECOND = 1_000_000
WAIT_S = 60.0  # until a test counts as hung; none waits that long


def frame(number: int, **more: Any) -> Frame:
    return Frame(image=numbered(number), format="bgr", name=str(number), **more)


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.001)


class Scripted:
    """A live source: each opening runs the next part of a script, the last one over and over.

    With a capture to look at, it gives nothing more before a frame was taken.
    """

    live, pictures, timed = True, False, True
    frames_per_second: float | None = None

    def __init__(self, *parts: Callable[[], Iterator[Frame | Broken]]) -> None:
        self.parts, self.opened, self.released, self.closed = parts, 0, 0, 0
        self.name = "scripted"
        self.capture: Capture | None = None

    def frames(self) -> Iterator[Frame | Broken]:
        part = self.parts[min(self.opened, len(self.parts) - 1)]
        self.opened += 1
        try:
            for item in part():
                yield item
                if self.capture is not None:
                    until(lambda: self.capture.counts.waiting == 0, "taken")  # type: ignore[union-attr]
        finally:
            self.released += 1

    def close(self) -> None:
        self.closed += 1


def gives(*numbers: int, then: BaseException | None = None) -> Callable[[], Iterator[Frame | Broken]]:
    """A part that gives frames, negative numbers as broken ones, and ends by an error."""

    def part() -> Iterator[Frame | Broken]:
        for number in numbers:
            yield frame(number) if number >= 0 else Broken(cause="decode error")
        if then is not None:
            raise then

    return part


LOST = DataError("scripted", "is gone")
QUICK = SourceOptions(open_timeout_ns=200 * MILLISECOND, read_timeout_ns=800 * MILLISECOND)


def quick() -> Backoff:
    return Backoff(first_s=0.001, cap_s=0.01)


def captured(source: Scripted, options: SourceOptions | None = None, **more: Any) -> Capture:
    """A capture whose source waits for every frame to be taken."""
    source.capture = Capture(source, options, backoff=quick(), **more)
    return source.capture


def adds_up(capture: Capture) -> bool:
    counts = capture.counts
    return counts.frames_in == counts.answered + sum(counts.dropped.values()) + counts.waiting


def test_a_consumer_at_a_fifth_of_the_speed_always_gets_the_newest_frame() -> None:
    """Frame numbers drawn in pixels: of every five the last, at most one frame behind the camera, in order."""
    source, seen = HostSource(), []
    with Capture(source) as capture:
        for number in range(100):
            source.push(numbered(number))
            until(lambda number=number: capture.counts.frames_in == number + 1, "taken in")  # type: ignore[misc]
            if number % 5 == 4:
                taken = capture.take(WAIT_S)
                assert taken is not None
                seen.append((number, number_of(taken.image)))
        assert adds_up(capture)
        assert dict(capture.counts.dropped) == {"overwritten": 80}
    assert seen == [(number, number) for number in range(4, 100, 5)]
    assert capture.counts.answered == 20


def test_frames_in_are_answered_or_dropped_exactly_whatever_the_threads_do() -> None:
    """A producer as fast as it can, two consumers that give every third frame back, and an end at any moment."""
    source = HostSource()
    capture = Capture(source)

    def push() -> None:
        for number in range(600):
            source.push(numbered(number))
        source.end()

    def consume() -> None:
        for index, _ in enumerate(capture.frames()):
            assert adds_up(capture)
            if index % 3 == 0:
                capture.drop("too slow")

    threads = [threading.Thread(target=target) for target in (push, consume, consume)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    counts = capture.counts
    assert counts.frames_in == 600 == counts.answered + sum(counts.dropped.values())
    assert counts.waiting == 0 and counts.dropped["too slow"] > 0 and capture.state == "ended"
    capture.close()


def test_a_film_gives_every_frame_to_a_slow_consumer_and_is_read_two_ahead(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 64))
    for number in range(60):
        writer.write(numbered(number))
    writer.release()
    with Capture(open_film(path), SourceOptions(max_age_ns=1)) as capture:
        seen = []
        for taken in capture.frames():
            time.sleep(0.001)
            seen.append(number_of(taken.image))
        assert seen == list(range(60))
        assert (capture.counts.frames_in, capture.counts.answered, dict(capture.counts.dropped)) == (60, 60, {})


def test_a_film_that_is_closed_while_it_is_read_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that is released in the middle of a read ends the process."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 64))
    for number in range(10):
        writer.write(numbered(number))
    writer.release()
    film = open_film(path)
    reading, go_on, order = threading.Event(), threading.Event(), []

    class Slow:
        def read(self) -> tuple[bool, Any]:
            reading.set()
            go_on.wait(WAIT_S)
            order.append("read")
            return True, numbered(1)

        def release(self) -> None:
            order.append("released")

    film._capture.release()
    film._capture = Slow()  # type: ignore[assignment]
    with monkeypatch.context() as patched, Capture(film) as capture:
        patched.setattr("edge.camera.sources.film.CLOSE_S", WAIT_S)
        assert reading.wait(WAIT_S)
        closing = threading.Thread(target=capture.close)
        closing.start()
        until(lambda: capture.state == "ended", "closed")
        go_on.set()
        closing.join(WAIT_S)
    until(lambda: not camera_threads(), "threads end")
    assert order[:2] == ["read", "released"] and "read" not in order[1:]


def test_a_film_whose_read_hangs_is_left_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 64))
    writer.write(numbered(0))
    writer.release()
    monkeypatch.setattr("edge.camera.sources.film.CLOSE_S", 0.01)
    film, begun, go_on = open_film(path), threading.Event(), threading.Event()

    class Hanging:
        def read(self) -> tuple[bool, Any]:
            begun.set()
            go_on.wait(WAIT_S)
            return True, numbered(0)

    film._capture = Hanging()  # type: ignore[assignment]
    capture = Capture(film)
    assert capture.take(0) is None and begun.wait(WAIT_S)
    capture.close(0)
    go_on.set()
    until(lambda: not camera_threads(), "threads end")


def test_a_file_waits_for_its_consumer() -> None:
    given = []

    class Endless(Scripted):
        live = timed = False

    def part() -> Iterator[Frame]:
        for number in range(1000):
            given.append(number)
            yield frame(number)

    with Capture(Endless(part)) as capture:
        assert capture.take(WAIT_S) is not None
        until(lambda: len(given) == 4, "one taken, two wait, one in hand")
        time.sleep(0.02)
        assert len(given) == 4
    assert capture.counts.frames_in == 1 and not capture.counts.dropped


def test_what_a_file_fails_by_comes_after_its_frames() -> None:
    class Failing(Scripted):
        live = timed = False

    with Capture(Failing(gives(0, 1, then=LOST))) as capture:
        frames = capture.frames()
        assert [next(frames).name, next(frames).name] == ["0", "1"]
        with pytest.raises(DataError, match="is gone"):
            next(frames)


def test_a_frame_that_is_too_old_is_dropped_and_a_newer_one_waited_for() -> None:
    source = HostSource()
    with Capture(source, SourceOptions(max_age_ns=200 * MILLISECOND)) as capture:
        source.push(frame(1, captured_ns=time.monotonic_ns() - 300 * MILLISECOND))
        assert capture.take(0.05) is None
        assert dict(capture.counts.dropped) == {"too old": 1}
        source.push(frame(2, captured_ns=time.monotonic_ns() + 3600 * 1000 * MILLISECOND))  # never too old
        taken = capture.take(WAIT_S)
        assert taken is not None and taken.name == "2"


def test_a_lost_device_is_opened_again_and_nothing_is_made_up() -> None:
    """What comes after are its own frames: none twice, none black. States say when it was away."""
    states: list[tuple[str, str]] = []
    source = Scripted(gives(0, then=LOST), gives(then=LOST), gives(then=LOST), gives(1), gives(2))
    capture = captured(source, on_state=lambda *state: states.append(state))
    assert [number_of(taken.image) for taken in capture.frames()] == [0, 1]
    until(lambda: len(states) == 4, "ended")
    assert states == [
        ("online", "scripted"),
        ("offline", "scripted: is gone"),
        ("online", "scripted"),
        ("ended", "the source is over"),
    ]
    assert source.opened == source.released == 4
    capture.close()
    assert source.closed == 1


@pytest.mark.parametrize("failure", [LOST, OSError("no such device"), cv2.error("assertion")])
def test_whatever_a_device_is_lost_by_it_is_opened_again(failure: BaseException) -> None:
    capture = captured(Scripted(gives(0, then=failure), gives(1)))
    assert [taken.name for taken in capture.frames()] == ["0", "1"]
    capture.close()


def test_a_source_that_never_opens_is_an_error_at_once_or_waited_for() -> None:
    capture = captured(Scripted(gives(then=LOST)))
    with pytest.raises(DataError, match="is gone"):
        capture.take(WAIT_S)
    capture.close()
    patient = SourceOptions(wait_for_source=True)
    capture = captured(Scripted(gives(then=LOST), gives(then=LOST), gives(7)), patient)
    assert [taken.name for taken in capture.frames()] == ["7"]
    capture.close()


def test_an_option_that_a_camera_refuses_is_never_tried_again() -> None:
    source = Scripted(gives(then=UsageError("no such size")), gives(1))
    capture = captured(source, SourceOptions(wait_for_source=True))
    with pytest.raises(UsageError, match="no such size"):
        capture.take(WAIT_S)
    assert source.opened == 1
    capture.close()


def test_a_source_is_given_up_after_the_time_that_was_asked_for() -> None:
    source = Scripted(gives(0, then=LOST), gives(then=LOST))
    capture = captured(source, SourceOptions(give_up_ns=400 * MILLISECOND))
    with pytest.raises(DataError, match="is gone"):
        list(capture.frames())
    assert source.opened > 2
    capture.close()


def test_a_defect_of_a_source_is_not_hidden_by_trying_again() -> None:
    capture = captured(Scripted(gives(0, then=ZeroDivisionError("a defect"))))
    with pytest.raises(ZeroDivisionError):
        list(capture.frames())
    capture.close()


def test_what_on_state_raises_ends_the_capture() -> None:
    def on_state(state: str, reason: str) -> None:
        raise EdgeError(f"{state} is refused")

    capture = captured(Scripted(gives(0, then=LOST)), on_state=on_state)
    with pytest.raises(EdgeError, match="online is refused"):
        list(capture.frames())
    capture.close()


def test_broken_frames_are_counted_and_keep_a_source_online() -> None:
    states: list[str] = []
    capture = captured(Scripted(gives(0, -1, -1, 1)), on_state=lambda state, why: states.append(state))
    assert [taken.name for taken in capture.frames()] == ["0", "1"]
    assert dict(capture.counts.dropped) == {"decode error": 2} and capture.counts.frames_in == 4
    assert adds_up(capture) and "offline" not in states
    capture.close()


def camera_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("camera ")]


@pytest.mark.unhurried
def test_a_read_that_never_comes_back_is_replaced_and_its_frame_dropped() -> None:
    """The thread that hangs ends when its read does; what it gives then is no frame of now."""
    release = threading.Event()

    def hangs() -> Iterator[Frame]:
        yield frame(0)
        release.wait(WAIT_S)
        yield frame(1)

    source = Scripted(hangs, gives(2, then=LOST), gives(then=LOST))
    states: list[tuple[str, str]] = []
    capture = Capture(source, QUICK, backoff=quick(), on_state=lambda *state: states.append(state))
    frames = capture.frames()
    assert [next(frames).name, next(frames).name] == ["0", "2"]
    assert ("offline", "scripted: gave no frame for 1 s") in states
    release.set()
    until(lambda: capture.counts.dropped.get("abandoned", 0) >= 1, "the late frame")
    assert adds_up(capture)
    capture.close()
    until(lambda: not camera_threads(), "threads end")
    assert source.opened == source.released


def test_reads_that_hang_for_ever_are_two_at_most() -> None:
    """Then the source stays offline until one comes back, and is given up where that was asked for."""
    release = threading.Event()

    def hangs() -> Iterator[Frame]:
        release.wait(WAIT_S)
        yield from ()

    options = SourceOptions(open_timeout_ns=MILLISECOND, read_timeout_ns=MILLISECOND, wait_for_source=True)
    source, given_up = Scripted(hangs), Scripted(hangs)
    capture = Capture(source, options, backoff=quick())
    assert capture.take(0) is None
    until(lambda: source.opened == MOST_STUCK, "as many as may be")
    assert capture.take(0.1) is None and source.opened == MOST_STUCK
    capture.close(0)
    capture = Capture(given_up, replace(options, give_up_ns=200 * MILLISECOND), backoff=quick())
    with pytest.raises(DataError, match=r"gave no frame for"):
        list(capture.frames())
    assert given_up.opened <= MOST_STUCK
    release.set()
    capture.close()
    until(lambda: not camera_threads(), "threads end")


def test_a_capture_that_waits_ends_when_it_is_told_to() -> None:
    """While it is offline too: by `ended`, by close from another thread, and with a read that hangs."""
    asked = threading.Event()
    source = HostSource()
    capture = Capture(source)
    threading.Timer(0.02, asked.set).start()
    assert list(capture.frames(asked.is_set)) == []
    threading.Timer(0.02, capture.close).start()
    assert list(capture.frames()) == []
    offline = Capture(Scripted(gives(then=LOST)), SourceOptions(wait_for_source=True), backoff=Backoff(first_s=1e6))
    threading.Timer(0.02, offline.close).start()
    assert list(offline.frames()) == []
    until(lambda: not camera_threads(), "threads end")


def test_a_capture_that_is_closed_while_it_waits_to_try_again_opens_nothing_more() -> None:
    source = Scripted(gives(0, then=LOST))
    capture = Capture(source, backoff=Backoff(first_s=1e6))
    until(lambda: capture.take(0) is not None, "the frame")
    until(lambda: capture.state == "offline", "lost")
    capture.close()
    until(lambda: not camera_threads(), "threads end")
    assert source.opened == 1 and capture.state == "ended" and adds_up(capture)


def test_a_frame_that_waits_at_the_end_is_counted_as_dropped() -> None:
    source = HostSource()
    capture = Capture(source)
    assert capture.take(0.0) is None
    source.push(numbered(1))
    until(lambda: capture.counts.waiting == 1, "taken in")
    capture.close()
    assert capture.counts.waiting == 0 and dict(capture.counts.dropped) == {"ended": 1} and adds_up(capture)


def test_a_new_size_in_the_middle_of_a_stream_goes_through() -> None:
    source = HostSource()
    with Capture(source) as capture:
        for size in ((64, 64), (128, 256), (64, 64)):
            source.push(numbered(5, size))
            taken = capture.take(WAIT_S)
            assert taken is not None and taken.size_hw == size and number_of(taken.image) == 5
