"""The camera loop: read, predict, draw and write, each in a stage of its own, with a time for every stage.

    capture's threads -> frames -> inference thread -> answers -> whoever iterates
                                                  \\-> sink thread (of a live source)

Every hand-over behind the capture holds one item. Of a live source it is the newest, and what was passed over is
counted with its cause. Of a film or pictures it is the next: each stage waits for the one behind it, nothing is lost,
and an answer is told when its drawn frame is written.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Event, Thread

import numpy as np
import numpy.typing as npt

from edge.camera.feed import Feed, Frames
from edge.camera.handover import Finished, Handover
from edge.camera.inference import TICK_S, Clock, Inference, Seen
from edge.camera.latency_budget import LatencyBudget
from edge.camera.look import FrameDrawer, Look
from edge.camera.reporter import Reporter
from edge.camera.run_counts import END_TO_END
from edge.camera.sink_stage import SinkStage, written
from edge.camera.sinks import Sink
from edge.errors import UsageError
from edge.predictor.predictor import Predictor

Pixels = npt.NDArray[np.uint8]
# How long the stages may take to end: 1.6 s together, of the 2 s in which a run ends.
INFERENCE_ENDS_S, SINKS_END_S, CAPTURE_ENDS_S = 0.5, 0.8, 0.3
CHECKED_EVERY_S = 0.25
COUNTED_EVERY_NS = 30_000_000_000
RECEIVER = "consumer"


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How the loop runs.

    Attributes:
        frames: answers after which it ends; None: none.
        latency_budget_ns: how old an answer of a live source may be; frames that would make it older are passed over.
        stall_after_ns: how long one prediction may take before its worker is replaced; None: any time.
        region: y, x, height, width in pixels: what the model is given of every frame; None: all.
    """

    frames: int | None = None
    latency_budget_ns: int | None = None
    stall_after_ns: int | None = None
    region: tuple[int, int, int, int] | None = None


def watch(
    predictor: Predictor,
    frames: Frames,
    sinks: Sequence[Sink] = (),
    *,
    window: Sink | None = None,
    options: LoopOptions = LoopOptions(),
    load: Callable[[], Predictor] | None = None,
    ended: Callable[[], bool] = lambda: False,
    reporter: Reporter | None = None,
    clock: Clock = time.monotonic_ns,
    look: Look | None = None,
) -> Generator[Seen, None, None]:
    """Run frames through a predictor, hand the drawn ones to the sinks, and give every answer.

    Ends with the source, after `options.frames` answers, when a sink asks for no more, or when `ended` says so between
    answers. To end it early, close the generator. The source stays the caller's to close, after it.

    Args:
        frames: a capture.
        sinks: take drawn frames; without any, nothing is drawn.
        window: a sink that is written by the thread that iterates, as a screen demands.
        load: makes another predictor in place of one that hangs; see `edge.camera.inference`.
        reporter: counts, and tells of, what happens.
        look: how answers are drawn.

    Raises:
        UsageError: a latency budget for a source that is not live.
        EdgeError: what a stage or the source met, after the answers before it.
    """
    reporter = reporter or Reporter()
    counts = reporter.run
    with ExitStack() as stack:
        if options.latency_budget_ns is not None and not frames.live:
            raise UsageError(
                "--latency-budget is for cameras and streams: of a film or pictures every frame is answered"
            )
        counts.frames, counts.is_online = lambda: frames.counts, lambda: frames.state == "online"
        run = _Run(predictor, Feed(frames, most=options.frames), sinks, options, load, reporter, clock, look)
        stack.callback(run.stop)
        for told, seen in enumerate(run.answers(ended), 1):
            shown, more = seen, True
            inline = (*(() if frames.live else sinks), *(() if window is None else (window,)))
            if inline:
                times_ns, more = written(seen, inline, run.draw, clock)
                counts.took(times_ns)
                shown = replace(seen, times_ns={**seen.times_ns, **times_ns})
            elif not sinks:
                counts.took({END_TO_END: seen.age_ns})
            reporter.answered()
            yield shown
            if not more or told == options.frames:
                return


class _Run:
    """The stages of one run behind the reading."""

    def __init__(
        self,
        predictor: Predictor,
        feed: Feed,
        sinks: Sequence[Sink],
        options: LoopOptions,
        load: Callable[[], Predictor] | None,
        reporter: Reporter,
        clock: Clock,
        look: Look | None,
    ) -> None:
        self._feed, self._reporter, self._clock = feed, reporter, clock
        counts = self._counts = reporter.run
        live = not feed.ordered
        self._answers: Handover[Seen] = Handover(newest=live)
        # A legend keeps its place from frame to frame: each thread that draws has its own.
        self._draw, draw_for_sinks = (FrameDrawer(predictor, look, region=options.region) for _ in range(2))
        self._sinks: SinkStage | None = None
        if live and sinks:
            self._sinks = SinkStage(
                sinks,
                lambda seen: draw_for_sinks(seen.frame, seen.prediction),
                counts=counts,
                stuck_after_ns=options.stall_after_ns,
                clock=clock,
            )
        budget_ns = options.latency_budget_ns
        self._inference = Inference(
            predictor,
            feed,
            self._deliver,
            self._answers.finish,
            counts=counts,
            log=reporter.log,
            load=load,
            stall_after_ns=options.stall_after_ns,
            budget=None if budget_ns is None else LatencyBudget(budget_ns),
            region=options.region,
            clock=clock,
        )
        self._over = Event()
        self._counted_ns = clock()
        self._watchdog = Thread(target=self._watch, name="edge-watch", daemon=True)
        self._watchdog.start()

    def draw(self, seen: Seen) -> Pixels:
        """An answer on its frame, in the thread that iterates."""
        return self._draw(seen.frame, seen.prediction)

    def answers(self, ended: Callable[[], bool]) -> Iterator[Seen]:
        """The answers as they come. Raises what a stage met, after those before it."""
        while not ended():
            if self._sinks is not None:
                self._sinks.raise_failure()
                if self._sinks.satisfied:
                    return
            try:
                seen = self._answers.take(TICK_S)
            except Finished:
                if self._inference.failure is not None:
                    raise self._inference.failure from None
                return
            if seen is not None:
                yield seen

    def stop(self) -> None:
        """End every stage. Raises what the sinks met at last, and (Hung) where they do not end."""
        self._over.set()
        self._watchdog.join()
        self._feed.close()
        for _ in self._answers.close():
            self._counts.undelivered(RECEIVER)
        self._inference.stop(INFERENCE_ENDS_S)
        if self._sinks is not None:
            self._sinks.stop(SINKS_END_S)

    def _deliver(self, seen: Seen) -> None:
        if self._sinks is not None:
            self._sinks.put(seen)
        if self._answers.put(seen) is not None:
            self._counts.undelivered(RECEIVER)

    def _watch(self) -> None:
        while not self._over.wait(CHECKED_EVERY_S):
            self._inference.check()
            if self._sinks is not None:
                self._sinks.check()
            now = self._clock()
            if now - self._counted_ns >= COUNTED_EVERY_NS:
                self._counted_ns = now
                self._reporter.counts()
