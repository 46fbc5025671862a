"""From a capture to the model: frames with their number, and what became of those without an answer."""

from typing import Protocol

from edge.camera.capture import Counts, State
from edge.camera.handover import Finished
from edge.errors import EdgeError
from edge.vision.frame import Frame


class Frames(Protocol):
    """What the loop asks of a source: `edge.camera.capture.Capture`."""

    @property
    def live(self) -> bool:
        """Whether the newest frame counts; otherwise every frame does."""
        ...

    @property
    def state(self) -> State:
        """Whether frames come; `ended`: no more will."""
        ...

    @property
    def counts(self) -> Counts:
        """What became of the frames."""
        ...

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame; None if none comes in time, or any more."""
        ...

    def drop(self, cause: str) -> None:
        """Count a frame that was taken as one without an answer."""
        ...


class UntilFailure:
    """Frames whose failure after the first ends them and is kept, so that what was seen can be kept too."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._taken = False
        self.failure: EdgeError | None = None

    @property
    def live(self) -> bool:
        """Whether the newest frame counts."""
        return self._frames.live

    @property
    def state(self) -> State:
        """`ended` after a failure, too."""
        return "ended" if self.failure else self._frames.state

    @property
    def counts(self) -> Counts:
        """What became of the frames."""
        return self._frames.counts

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame. Refuses (EdgeError) what fails before the first."""
        if self.failure is not None:
            return None
        try:
            frame = self._frames.take(timeout_s)
        except EdgeError as error:
            if not self._taken:
                raise
            self.failure = error
            return None
        self._taken = self._taken or frame is not None
        return frame

    def drop(self, cause: str) -> None:
        """Count a frame as one without an answer."""
        self._frames.drop(cause)


class Feed:
    """Frames for one worker at a time, until they end, `most` were taken, or it is closed."""

    def __init__(self, frames: Frames, *, most: int | None = None) -> None:
        """`most` is for frames that all count: of a live source a frame that was taken may be passed over."""
        self.ordered = not frames.live
        self._frames, self._most = frames, most if self.ordered else None
        self._taken = 0
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether a frame of a live source is there already."""
        return self._frames.counts.waiting > 0

    def take(self, timeout_s: float) -> tuple[int, Frame] | None:
        """The next frame and its number from 0; None if none came in time.

        Raises:
            Finished: no more will come. EdgeError: what ended the source.
        """
        if self._closed or self._taken == self._most:
            raise Finished
        frame = self._frames.take(timeout_s)
        if frame is None:
            if self._frames.state != "ended":
                return None
            frame = self._frames.take(0)  # what came between the two
            if frame is None:
                raise Finished
        self._taken += 1
        return self._taken - 1, frame

    def drop(self, cause: str) -> None:
        """A frame that was taken will have no answer."""
        self._frames.drop(cause)

    def close(self) -> None:
        """Give no more."""
        self._closed = True
