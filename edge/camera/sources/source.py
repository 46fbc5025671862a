"""What every source is: frames, one after the other, from something that ends or from something that goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.vision.frame import Frame


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A frame that arrived and cannot be answered: `cause` is a word of `edge.camera.capture`, counted there."""

    cause: str


class Source(Protocol):
    """Frames, one after the other, and what is known about them before the first.

    `edge.camera.capture.Capture` makes a stream of any of them, with threads, counts and reconnection.
    """

    @property
    def name(self) -> str:
        """What it is called in messages; never a password."""
        ...

    @property
    def live(self) -> bool:
        """Whether frames come by themselves, so that the newest counts; otherwise every frame counts."""
        ...

    @property
    def pictures(self) -> bool:
        """Whether the frames are single pictures with names of their own, rather than a film."""
        ...

    @property
    def frames_per_second(self) -> float | None:
        """Of a film or camera; None for pictures and where the source does not say, or not before the first frame."""
        ...

    @property
    def timed(self) -> bool:
        """Whether a frame that does not come within the time-outs of the options means a lost device."""
        ...

    def frames(self) -> Iterator[Frame | Broken]:
        """The frames.

        Of a source that is not live: callable once. Of a live one each call opens the device anew, and gives it back
        when the generator is closed; it ends by DataError where the device is lost, and by itself where the source
        is over.
        """
        ...

    def close(self) -> None:
        """Give back what is held beside a generator of `frames`; callable from any thread, and twice."""
        ...
