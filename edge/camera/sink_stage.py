"""The stage that draws and writes the answers of a live source: a thread of its own, which delays nobody."""

import time
from collections.abc import Callable, Sequence
from threading import Lock, Thread

import numpy as np
import numpy.typing as npt

from edge.camera.handover import Finished, Handover
from edge.camera.inference import Clock, Seen
from edge.camera.run_counts import END_TO_END, RunCounts
from edge.camera.sinks import Sink
from edge.errors import EdgeError


class Hung(EdgeError):
    """An output hangs, and nobody can take its file from it: the process must end without closing it."""


Draw = Callable[[Seen], npt.NDArray[np.uint8]]
RECEIVER = "sink"


class SinkStage:
    """Writes the newest answer whenever the sinks have taken the last one; those between are counted.

    Args:
        stuck_after_ns: how long drawing and writing one answer may take; None: any time.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        draw: Draw,
        *,
        counts: RunCounts,
        stuck_after_ns: int | None = None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self._sinks, self._draw, self._counts, self._clock = sinks, draw, counts, clock
        self._stuck_after_ns = stuck_after_ns
        self._answers: Handover[Seen] = Handover(newest=True)
        self._lock = Lock()
        self._since_ns: int | None = None
        self.satisfied = False
        self.failure: BaseException | None = None
        self._raised = False
        self._thread = Thread(target=self._work, name="edge-sinks", daemon=True)
        self._thread.start()

    def put(self, seen: Seen) -> None:
        """Hand an answer over, at once."""
        if self._answers.put(seen) is not None:
            self._counts.undelivered(RECEIVER)

    def check(self) -> None:
        """Notice a sink that hangs: it is a failure of the run, as nobody can take its file from it."""
        with self._lock:
            since = self._since_ns
        if since is None or self._stuck_after_ns is None or self.failure is not None:
            return
        waited_ns = self._clock() - since
        if waited_ns >= self._stuck_after_ns:
            self.failure = Hung(f"the output has not taken a frame for {waited_ns / 1e9:.1f} s; is its disk there?")

    def raise_failure(self) -> None:
        """Raise what the sinks met, once."""
        if self.failure is not None and not self._raised:
            self._raised = True
            raise self.failure

    def stop(self, within_s: float) -> None:
        """Write what lies there and end. Raises what the sinks met, and (Hung) where they have not taken it in time."""
        self._answers.finish()
        self._thread.join(within_s)
        for _ in self._answers.close():
            self._counts.undelivered(RECEIVER)
        if self._thread.is_alive():
            raise Hung(f"the output has not taken its last frame within {within_s:g} s; its file is left as it is")
        self.raise_failure()

    def _work(self) -> None:
        try:
            while not self.satisfied:
                seen = self._answers.take()
                assert seen is not None
                with self._lock:
                    self._since_ns = self._clock()
                times_ns, more = written(seen, self._sinks, self._draw, self._clock)
                with self._lock:
                    self._since_ns = None
                self._counts.took(times_ns)
                self.satisfied = not more
        except Finished:
            return
        except BaseException as error:
            self.failure = error


def written(seen: Seen, sinks: Sequence[Sink], draw: Draw, clock: Clock) -> tuple[dict[str, int], bool]:
    """Draw an answer and hand it to sinks. Returns the stages' times, and whether every sink asks for more."""
    start = clock()
    drawn = draw(seen) if sinks else None
    after_draw = clock()
    more = [sink.write(drawn, seen.name) for sink in sinks] if drawn is not None else []
    end = clock()
    times_ns = {"draw": after_draw - start, "write": end - after_draw, END_TO_END: end - seen.frame.captured_ns}
    return times_ns, all(more)
