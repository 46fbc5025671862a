"""A camera whose frames a test gives, and a model that answers when the test lets it."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import open_artifact
from edge.engines.null import open_null
from edge.engines.null_session import NullSession
from edge.predictor.predictor import Predictor
from edge.vision.frame import Frame

PATIENCE_S = 20.0


def until(holds: Callable[[], bool]) -> None:
    """Wait for what other threads do. Refuses (AssertionError) what does not come about."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.001)


class GivenFrames:
    """A live source: the frames that `give` numbers from 0, until `end`."""

    name = "camera"
    live, pictures, timed = True, False, False
    frames_per_second: float | None = None

    def __init__(self) -> None:
        self._frames: queue.SimpleQueue[Frame | BaseException | None] = queue.SimpleQueue()
        self._given = 0

    def give(self, number: int = 1, *, age_ns: int = 0) -> None:
        """Frames of the colour of their number, captured so long ago."""
        for _ in range(number):
            image = np.full((20, 30, 3), self._given % 256, np.uint8)
            captured_ns = time.monotonic_ns() - age_ns
            self._frames.put(Frame(image=image, format="bgr", name=str(self._given), captured_ns=captured_ns))
            self._given += 1

    def end(self, error: BaseException | None = None) -> None:
        """No more frames, or what the source met."""
        self._frames.put(error)

    def frames(self) -> Iterator[Frame]:
        """The frames as they are given."""
        while (frame := self._frames.get()) is not None:
            if isinstance(frame, BaseException):
                raise frame
            yield frame

    def close(self) -> None:
        """Let the reader go."""
        self.end()


class Numbered:
    """A source that is not live: so many frames, each of the colour of its number."""

    name = "film"
    live = pictures = timed = False
    frames_per_second: float | None = None

    def __init__(self, number: int) -> None:
        self._number = number

    def frames(self) -> Iterator[Frame]:
        """All of them."""
        for index in range(self._number):
            yield Frame(image=np.full((20, 30, 3), index % 256, np.uint8), format="bgr", name=str(index))

    def close(self) -> None:
        """Nothing is held."""


class HeldSession(NullSession):
    """Answers once `let` was called for it; `running` counts the calls that wait or were answered."""

    def __init__(self, null: NullSession) -> None:
        super().__init__(inputs=null.inputs, outputs=null.outputs)
        self._leave = threading.Semaphore(0)
        self.running = 0
        self.closed = False

    def let(self, number: int = 1) -> None:
        """Let so many calls through."""
        self._leave.release(number)

    def _compute(self, model: Any, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        self.running += 1
        self._leave.acquire()
        return super()._compute(model, inputs)

    def close(self) -> None:
        """Close, and remember it."""
        super().close()
        self.closed = True


def held(folder: Path, kind: type[HeldSession] = HeldSession) -> tuple[Predictor, HeldSession]:
    """A predictor of an artifact whose session is held."""
    artifact = open_artifact(folder)
    file = artifact.manifest.files[0]
    null = open_null(artifact.file(file.path))
    assert isinstance(null, NullSession)
    session = kind(null)
    return Predictor(artifact, file, session), session
