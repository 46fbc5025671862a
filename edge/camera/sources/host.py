"""Frames from the program around: an application that has a camera of its own pushes them."""

import threading
from collections import deque
from collections.abc import Iterator
from itertools import count

from edge.camera.sources.source import Broken
from edge.errors import UsageError
from edge.vision.frame import Frame, PixelFormat, Pixels

MOST_WAITING = 4


class HostSource:
    """A live source that a program pushes frames into; `push` never waits.

    Frames wait here for a moment only: of more than MOST_WAITING the oldest is dropped, cause `overwritten`.
    """

    live, pictures, timed = True, False, False

    def __init__(self, name: str = "frames of the program", frames_per_second: float | None = None) -> None:
        self.name, self.frames_per_second = name, frames_per_second
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._overwritten = 0
        self._ended = False
        self._numbers = count()

    def push(self, frame: Frame | Pixels, layout: PixelFormat = "bgr") -> None:
        """Hand over a frame; its array must not be written again.

        Args:
            frame: with its own name and time, or the pixels alone, taken now.
            layout: of the pixels.

        Raises:
            UsageError: pixels that are not of the layout, or the source was ended.
        """
        if not isinstance(frame, Frame):
            frame = Frame(image=frame, format=layout, name=str(next(self._numbers)))
        with self._changed:
            if self._ended:
                raise UsageError(f"{self.name}: a frame was pushed after the end")
            if len(self._waiting) == MOST_WAITING:
                self._waiting.popleft()
                self._overwritten += 1
            self._waiting.append(frame)
            self._changed.notify()

    def end(self) -> None:
        """No more frames will come; what waits is still given."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def frames(self) -> Iterator[Frame | Broken]:
        """The frames until `end`."""
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                lost, self._overwritten = self._overwritten, 0
                frame = self._waiting.popleft() if self._waiting else None
            for _ in range(lost):
                yield Broken(cause="overwritten")
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        """End it."""
        self.end()
