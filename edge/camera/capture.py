"""Frames of any source, taken by a thread of their own: the newest of a live one, every one of a file.

Of a live source one frame waits, the newest: what it replaces is dropped and counted. A file waits itself: two frames
are read ahead, and none is dropped. Whatever goes in comes out: frames in = answered + dropped, by cause, at every
moment at which none waits.

A live source that fails, or of which no frame comes in time, is offline: it is opened anew, after a wait that grows
(`edge.camera.backoff`). No frame is made up meanwhile: none is repeated, none is black.

A read that never comes back cannot be ended in Python. Its thread is left to itself, a new one opens the device, and
what the old one still gives is dropped; when its read does come back, as every driver's and FFmpeg's in the end does,
it gives its device back and ends. There are never more than MOST_STUCK of them: until one comes back the source stays
offline.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import cv2

from edge.camera.backoff import Backoff
from edge.camera.sources.options import SECOND_NS, SourceOptions
from edge.camera.sources.source import Broken, Source
from edge.errors import DataError, EdgeError, UsageError
from edge.vision.frame import Frame

State = Literal["opening", "online", "offline", "ended"]
OnState = Callable[[State, str], None]
OVERWRITTEN, TOO_OLD, DECODE_ERROR = "overwritten", "too old", "decode error"
ABANDONED, ENDED = "abandoned", "ended"
READ_AHEAD = 2
MOST_STUCK = 2
GRACE = 1.25  # a source ends a slow read itself; only one that takes this many times its time-out is left to itself
LOST = (EdgeError, OSError, cv2.error)  # what a device that is gone ends by; anything else is a defect
POLL_S = 0.1
CLOSE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the frames: `frames_in` = `answered` + the sum of `dropped` + `waiting`.

    Attributes:
        answered: frames that were handed over, less those that came back by `Capture.drop`.
        dropped: by cause. Here: `overwritten` by a newer one, `too old` for `max_age_ns`, `decode error` (it arrived in
            part), `abandoned` (by a read that was given up), `ended` (none was asked for any more).
        waiting: frames that are neither yet; none once the capture is closed.
    """

    frames_in: int
    answered: int
    dropped: Mapping[str, int]
    waiting: int


class Capture:
    """A source's frames, taken by a thread of their own; see the top of this file.

    It begins with the `with` statement, or the first frame that is asked for.

    Args:
        source: closed with the capture.
        options: `max_age_ns`, the time-outs, `wait_for_source` and `give_up_ns` of a live source.
        on_state: of a live source, called with `online`, `offline` or `ended` and why, at every change, from a thread
            of the capture. What it raises ends the capture.
    """

    def __init__(
        self,
        source: Source,
        options: SourceOptions | None = None,
        *,
        on_state: OnState = lambda state, reason: None,
        on_read: Callable[[int], None] = lambda read_ns: None,
        backoff: Backoff | None = None,
    ) -> None:
        self._source, self._options = source, options or SourceOptions()
        self._on_state, self._on_read, self._backoff = on_state, on_read, backoff or Backoff()
        self._lock = threading.RLock()
        self._arrived, self._taken, self._watched = (threading.Condition(self._lock) for _ in range(3))
        self._waiting: deque[Frame] = deque()
        self._frames_in = self._answered = 0
        self._dropped: Counter[str] = Counter()
        self._state: State = "opening"
        self._failure: BaseException | None = None
        self._over = self._closed = False
        self._reader = 0  # the one whose frames count; earlier ones are abandoned
        self._stuck: set[int] = set()
        self._step_ns = 0  # when the reader began to wait for what it waits for
        self._seen = False  # whether the reader has given a frame
        self._ended_by: BaseException | None = None
        self._reader_done = True
        self._threads: list[threading.Thread] = []

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def live(self) -> bool:
        """Whether the source is."""
        return self._source.live

    @property
    def pictures(self) -> bool:
        """Whether the source gives single pictures."""
        return self._source.pictures

    @property
    def frames_per_second(self) -> float | None:
        """The source's rate; of a camera None before its first frame, unless it was asked for one."""
        return self._source.frames_per_second

    @property
    def state(self) -> State:
        """`opening` before the first frame, `online`, `offline` while a live source is lost; in the end `ended`."""
        return self._state

    @property
    def counts(self) -> Counts:
        """What became of the frames until now."""
        with self._lock:
            return Counts(
                frames_in=self._frames_in,
                answered=self._answered,
                dropped=MappingProxyType({cause: number for cause, number in self._dropped.items() if number}),
                waiting=len(self._waiting) if self._source.live else 0,
            )

    def frames(self, ended: Callable[[], bool] = lambda: False) -> Iterator[Frame]:
        """Hand over frames until the source is over, `ended` says so, or the capture is closed.

        Refuses (EdgeError) what the source refuses, after the frames before it.
        """
        while not ended():
            frame = self.take(POLL_S)
            if frame is not None:
                yield frame
            elif self._finished():
                return

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame, or None where none comes in that time or the source is over (`state` says which).

        Refuses (EdgeError) what the source refuses, after the frames before it.
        """
        self._start()
        until = time.monotonic() + timeout_s
        with self._lock:
            while True:
                if self._waiting:
                    frame = self._waiting.popleft()
                    self._taken.notify()
                    if self._is_too_old(frame):
                        self._dropped[TOO_OLD] += 1
                        continue
                    self._frames_in += not self._source.live
                    self._answered += 1
                    return frame
                if self._failure is not None and not self._closed:
                    raise self._failure
                rest = until - time.monotonic()
                if self._over or self._closed or rest <= 0:
                    return None
                self._arrived.wait(rest)

    def drop(self, cause: str) -> None:
        """Count a frame that was handed over as dropped after all: its answer failed, or came too late."""
        with self._lock:
            self._answered -= 1
            self._dropped[cause] += 1

    def close(self, within_s: float = CLOSE_S) -> None:
        """End the threads and close the source; callable from any thread, and twice.

        A read that does not come back in this time is left to itself.
        """
        with self._lock:
            if not self._closed:
                self._closed, self._state = True, "ended"
                if self._source.live:
                    self._dropped[ENDED] += len(self._waiting)
                self._waiting.clear()
                for condition in (self._arrived, self._taken, self._watched):
                    condition.notify_all()
        self._source.close()
        until = time.monotonic() + within_s
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> "Capture":
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What the consumer's thread does

    def _start(self) -> None:
        with self._lock:
            if not self._threads and not self._closed:
                self._launch(self._watch if self._source.live else self._read_ahead, "watch")

    def _launch(self, target: Callable[[], None], what: str) -> None:
        thread = threading.Thread(target=target, name=f"camera {what}", daemon=True)
        self._threads = [*(old for old in self._threads if old.is_alive()), thread]
        thread.start()

    def _finished(self) -> bool:
        with self._lock:
            return self._closed or (self._over and not self._waiting and self._failure is None)

    def _is_too_old(self, frame: Frame) -> bool:
        oldest = self._options.max_age_ns
        return self._source.live and oldest is not None and time.monotonic_ns() - frame.captured_ns > oldest

    def _end(self, failure: BaseException | None, reason: str) -> None:
        with self._lock:
            self._failure, self._over = failure, True
            self._arrived.notify_all()
        try:
            self._tell("ended", reason)
        except Exception as error:
            with self._lock:
                self._failure = self._failure or error

    def _tell(self, state: State, reason: str) -> None:
        if state != self._state and not self._closed:
            self._state = state
            if self._source.live:
                self._on_state(state, reason)

    def _timed(self, frames: Iterator[Frame | Broken]) -> Iterator[Frame | Broken]:
        start_ns = time.monotonic_ns()
        for frame in frames:
            self._on_read(time.monotonic_ns() - start_ns)
            yield frame
            del frame
            start_ns = time.monotonic_ns()

    # Files: every frame, two ahead

    def _read_ahead(self) -> None:
        failure: BaseException | None = None
        try:
            for frame in self._timed(self._source.frames()):
                if not isinstance(frame, Frame):
                    raise TypeError("a source that is not live gave a broken frame")
                self._tell("online", self.name)
                with self._lock:
                    while len(self._waiting) >= READ_AHEAD and not self._closed:
                        self._taken.wait()
                    if self._closed:
                        return
                    self._waiting.append(frame)
                    self._arrived.notify_all()
        except BaseException as error:
            failure = error
        self._end(failure, "the source is over" if failure is None else str(failure))

    # Live sources: one thread reads, and one watches it

    def _watch(self) -> None:
        try:
            failure, reason = self._keep_open()
        except BaseException as error:  # of on_state
            failure, reason = error, str(error)
        with self._lock:
            self._reader += 1  # what still reads is abandoned
        self._end(failure, reason)

    def _keep_open(self) -> tuple[BaseException | None, str]:
        """Open the source again and again, until it is over. Returns: what it failed by, and why it ended."""
        lost_ns = time.monotonic_ns()
        while True:
            self._open()
            came = self._follow()
            if self._closed:
                return None, "closed"
            failure = self._ended_by
            if self._reader_done and (failure is None or not isinstance(failure, LOST)):
                return failure, "the source is over" if failure is None else str(failure)
            if failure is None:
                failure = DataError(self.name, f"gave no frame for {self._patience_ns(came) / SECOND_NS:g} s")
            if isinstance(failure, UsageError) or (self._state == "opening" and not self._options.wait_for_source):
                return failure, str(failure)
            if came:
                lost_ns = time.monotonic_ns()
                self._backoff.reset()
            give_up_ns = None if self._options.give_up_ns is None else lost_ns + self._options.give_up_ns
            if give_up_ns is not None and time.monotonic_ns() >= give_up_ns:
                return failure, str(failure)
            self._tell("offline", str(failure))
            if not self._pause(self._backoff.next_s(), give_up_ns):
                return failure, str(failure)

    def _open(self) -> None:
        with self._lock:
            if self._closed:  # while it waited to try again
                return
            self._reader += 1
            self._ended_by, self._seen, self._reader_done = None, False, False
            self._step_ns = time.monotonic_ns()
            number = self._reader
            self._launch(lambda: self._read(number), f"read {number}")

    def _follow(self) -> bool:
        """Wait until the reader is done, or late, in which case it is abandoned. Returns: whether a frame came."""
        while self._is_reading():
            self._tell("online", self.name)
        if self._seen:
            self._tell("online", self.name)
        return self._seen

    def _is_reading(self) -> bool:
        """Wait until there is something to do. Returns: whether that is to say that frames come again."""
        with self._lock:
            while not self._closed and not self._reader_done:
                if self._seen and self._state != "online":
                    return True
                rest_ns = self._step_ns + self._patience_ns(self._seen) - time.monotonic_ns()
                if self._source.timed and rest_ns <= 0:
                    self._stuck.add(self._reader)
                    self._reader += 1
                    break
                self._watched.wait(rest_ns / SECOND_NS if self._source.timed else None)
            return False

    def _patience_ns(self, seen: bool) -> int:
        first = 0 if seen else self._options.open_timeout_ns
        return round(GRACE * (first + self._options.read_timeout_ns))

    def _pause(self, seconds: float, give_up_ns: int | None) -> bool:
        """Wait between two tries, and while as many reads as may be are stuck. Returns: False to give up."""
        until_ns = time.monotonic_ns() + round(seconds * SECOND_NS)
        with self._lock:
            while not self._closed:
                stuck, now_ns = len(self._stuck) >= MOST_STUCK, time.monotonic_ns()
                rest_ns = (None if give_up_ns is None else give_up_ns - now_ns) if stuck else until_ns - now_ns
                if rest_ns is not None and rest_ns <= 0:
                    return not stuck
                self._watched.wait(None if rest_ns is None else rest_ns / SECOND_NS)
            return True

    def _read(self, number: int) -> None:
        """Take in what one opening of the source gives, until it fails, is over or is abandoned."""
        failure: BaseException | None = None
        try:
            frames = self._source.frames()
            try:
                for frame in self._timed(frames):
                    if not self._take_in(frame, number):
                        break
                    del frame
            finally:
                close = getattr(frames, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            failure = error
        with self._lock:
            self._stuck.discard(number)
            if number == self._reader:
                self._ended_by, self._reader_done = failure, True
            self._watched.notify_all()

    def _take_in(self, frame: Frame | Broken, number: int) -> bool:
        """Count a frame and let it wait. Returns: whether more is wanted."""
        with self._lock:
            self._frames_in += 1
            if number != self._reader or self._closed:
                self._dropped[ENDED if self._closed else ABANDONED] += 1
                return False
            self._step_ns = time.monotonic_ns()
            if isinstance(frame, Broken):
                self._dropped[frame.cause] += 1
                return True
            self._dropped[OVERWRITTEN] += len(self._waiting)
            self._waiting.clear()
            self._waiting.append(frame)
            if not self._seen:
                self._seen = True
                self._watched.notify_all()
            self._arrived.notify_all()
            return True
