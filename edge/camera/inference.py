"""The stage that runs the model: one worker thread, replaced when a prediction hangs.

A thread within native code cannot be ended, so a worker that hangs is abandoned with its session, and a new one loads a
session of its own. What the abandoned one holds is lost until the process ends, so their number is bounded: after that
the run fails, and a service manager starts a fresh process. (Inference in a child process could be ended, but each
frame would pay for the way there.)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread, get_ident
from typing import Any

from edge.camera.capture import ENDED
from edge.camera.feed import Feed
from edge.camera.handover import Finished
from edge.camera.latency_budget import LatencyBudget
from edge.camera.run_counts import END_TO_END, RunCounts
from edge.camera.run_log import RunLog
from edge.errors import EngineError
from edge.predictor.predictor import Predictor
from edge.tasks.task import Prediction, Task
from edge.vision.frame import Frame

Clock = Callable[[], int]
MOST_REPLACEMENTS = 3
LOADING_NS = 120_000_000_000
TICK_S = 0.1
STALLED, BUDGET, FAILED = "stalled", "budget", "failed"


Taken = tuple[int, Frame]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One frame and its prediction.

    Attributes:
        index: number of the frame that the model took, from 0.
        times_ns: nanoseconds by stage (`edge.camera.run_counts.STAGES`, from `wait` on), of the stages behind it, and
            as `total` those since the frame's capture.
        answered_ns: `time.monotonic_ns()` when the prediction was there.
    """

    index: int
    frame: Frame
    task: Task[Any]
    prediction: Prediction
    times_ns: dict[str, int]
    answered_ns: int

    @property
    def name(self) -> str:
        """The frame's."""
        return self.frame.name

    @property
    def age_ns(self) -> int:
        """How old the frame was when its answer was there."""
        return self.answered_ns - self.frame.captured_ns


class Inference:
    """Takes frames from a feed, and hands every answer over.

    Args:
        load: makes a predictor for a new worker; None: a worker that hangs ends the run.
        deliver: takes the answers, in the worker's thread. finish: is called after the last.
        stall_after_ns: how long one prediction may take; None: any time.
        region: y, x, height, width: what the model is given of every frame; None: all.
    """

    def __init__(
        self,
        predictor: Predictor,
        feed: Feed,
        deliver: Callable[[Seen], None],
        finish: Callable[[], None],
        *,
        counts: RunCounts,
        log: RunLog,
        load: Callable[[], Predictor] | None = None,
        stall_after_ns: int | None = None,
        budget: LatencyBudget | None = None,
        region: tuple[int, int, int, int] | None = None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self._first, self._load = predictor, load
        self._feed, self._deliver, self._finish = feed, deliver, finish
        self._counts, self._log, self._clock = counts, log, clock
        self._stall_after_ns, self._budget = stall_after_ns, budget
        self._region = region
        self._lock = Lock()
        self._turn = self._replacements = 0
        self._hung: set[int] = set()
        self._since_ns: int | None = None
        self._limit_ns: int | None = None
        self._at: Taken | None = None
        self._over_budget = False
        self.failure: BaseException | None = None
        self._worker = self._started(predictor, None)

    def check(self) -> None:
        """Replace the worker if its prediction hangs; to be called now and then, from any thread but the worker's."""
        with self._lock:
            now, since, limit = self._clock(), self._since_ns, self._limit_ns
            if since is None or limit is None or now - since < limit:
                return
            self._hung.add(self._turn)
            stuck = self._abandon()
            told = f"the model has not answered for {(now - since) / 1e9:.1f} s"
            if self._load is None or self._replacements >= MOST_REPLACEMENTS:
                after = f", after {self._replacements} replaced workers" if self._replacements else ""
                self.failure = EngineError(f"{told}{after}: start the program anew")
                again = None
            else:
                self._replacements += 1
                self._counts.replaced()
                again = stuck if self._feed.ordered else None
                self._worker = self._started(None, again)
        if stuck is not None and again is None:
            self._feed.drop(STALLED)
        if self.failure is not None:
            self._finish()
            return
        self._log.tell(
            "replaced", f"{told}: its worker is replaced", replacements=self._replacements, of=MOST_REPLACEMENTS
        )

    def stop(self, within_s: float) -> None:
        """End the worker after the frame at hand, or abandon it after this time. Its feed is closed by then."""
        worker = self._worker
        if worker.ident != get_ident():
            worker.join(within_s)
        with self._lock:
            stuck = self._abandon() if worker.is_alive() else None
        if stuck is not None:
            self._feed.drop(ENDED)

    def _abandon(self) -> Taken | None:
        """Take the turn from the worker; what it answers from now on counts no more. Returns its frame."""
        self._turn += 1
        stuck, self._at, self._since_ns = self._at, None, None
        return stuck

    def _started(self, predictor: Predictor | None, again: Taken | None) -> Thread:
        worker = Thread(target=self._work, args=(self._turn, predictor, again), name="edge-inference", daemon=True)
        worker.start()
        return worker

    def _work(self, turn: int, given: Predictor | None, again: Taken | None) -> None:
        predictor = given
        try:
            if predictor is None:
                assert self._load is not None
                self._begin(turn, again, max(LOADING_NS, self._stall_after_ns or 0))
                predictor = self._load()
                if not self._end(turn):
                    return
            while self._predicted(turn, predictor, again):
                again = None
        except Finished:
            self._ended(turn, None)
        except BaseException as error:
            self._ended(turn, error)
        finally:
            # Its own, and the caller's that hung: nobody else may wait for a session that is running.
            if predictor is not None and (given is None or turn in self._hung):
                predictor.close()

    def _predicted(self, turn: int, predictor: Predictor, again: Taken | None) -> bool:
        """Predict one frame, if one comes. False ends the worker: it was abandoned."""
        idle = not self._feed.waiting
        taken = again or self._feed.take(TICK_S)
        if taken is None:
            return turn == self._turn
        index, frame = taken
        start = self._clock()
        if self._budget is not None and not self._budget.admits(start - frame.captured_ns, idle=idle):
            self._feed.drop(BUDGET)
            return turn == self._turn
        if not self._begin(turn, taken, self._stall_after_ns):
            self._feed.drop(ENDED)
            return False
        prediction = predictor(frame) if self._region is None else predictor(frame, region=self._region)
        now = self._clock()
        if not self._end(turn):
            return False
        times = prediction.times
        times_ns = {
            "wait": start - frame.captured_ns,
            "resize": times.resize_ns,
            "quantize": times.quantize_ns,
            "infer": times.infer_ns,
            "postprocess": times.postprocess_ns,
        }
        self._counts.took(times_ns)
        times_ns[END_TO_END] = now - frame.captured_ns
        self._judge(now - start, now - frame.captured_ns)
        seen = Seen(
            index=index,
            frame=frame,
            task=predictor.task,
            prediction=prediction,
            times_ns=times_ns,
            answered_ns=now,
        )
        self._deliver(seen)
        return True

    def _judge(self, predict_ns: int, age_ns: int) -> None:
        """Count the answer, and tell where the budget begins or ceases to be broken."""
        over = False
        if self._budget is not None:
            self._budget.took(predict_ns)
            over = not self._budget.holds(age_ns)
            if over != self._over_budget:
                self._over_budget = over
                self._log.note("over_budget" if over else "within_budget", age_ns=age_ns)
        self._counts.answered(age_ns, over_budget=over)

    def _begin(self, turn: int, taken: Taken | None, limit_ns: int | None) -> bool:
        with self._lock:
            if turn != self._turn:
                return False
            self._at, self._since_ns, self._limit_ns = taken, self._clock(), limit_ns
            return True

    def _end(self, turn: int) -> bool:
        with self._lock:
            if turn != self._turn:
                return False
            self._at = self._since_ns = None
            return True

    def _ended(self, turn: int, failure: BaseException | None) -> None:
        with self._lock:
            if turn != self._turn:
                return
            self.failure = failure
            stuck, self._at, self._since_ns = self._at, None, None
        if stuck is not None:
            self._feed.drop(FAILED)
        self._finish()
