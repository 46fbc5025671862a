"""What a run has done so far: frames, drops by their cause, times by stage. Every figure has a fixed size.

What became of the frames is counted by the capture, which alone sees all of them; the rest is counted here.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from edge.camera.capture import Counts
from edge.percentile import nearest_rank

STAGES = ("read", "wait", "resize", "quantize", "infer", "postprocess", "draw", "write")
END_TO_END = "total"
KEPT_TIMES = 4096
# Upper bounds in seconds: 1, 2.5, 5 times each power of ten from 100 us to 10 s.
BUCKETS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS_NS = np.array([round(bound * 1e9) for bound in BUCKETS_S])


@dataclass(frozen=True, kw_only=True)
class StageSummary:
    """Percentiles (nearest rank) of one stage over the last KEPT_TIMES frames that came by it."""

    stage: str
    p50_ns: int
    p90_ns: int


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How many times lie in each bucket, the last of which has no upper bound, and their sum."""

    counts: tuple[int, ...]
    sum_ns: int


class StageTimes:
    """The times of one stage: the last ones for percentiles, all of them in buckets."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.int64] = np.zeros(KEPT_TIMES, np.int64)
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._count = self._sum_ns = 0

    def add(self, time_ns: int) -> None:
        """Note one time."""
        self._last[self._count % KEPT_TIMES] = time_ns
        self._buckets[int(np.searchsorted(_BOUNDS_NS, time_ns))] += 1
        self._count += 1
        self._sum_ns += time_ns

    def summary(self, stage: str) -> StageSummary | None:
        """The percentiles; None without a time."""
        ordered = sorted(self._last[: min(self._count, KEPT_TIMES)].tolist())
        if not ordered:
            return None
        return StageSummary(stage=stage, p50_ns=nearest_rank(ordered, 50), p90_ns=nearest_rank(ordered, 90))

    def histogram(self) -> Histogram:
        """All times in buckets."""
        return Histogram(counts=tuple(self._buckets), sum_ns=self._sum_ns)


@dataclass(frozen=True, kw_only=True)
class State:
    """The counts at one moment; `frames` is `answered` + what `dropped` sums to + the frames under way.

    Attributes:
        frames: that the source gave. answered: by the model.
        dropped: frames without an answer, by cause. undelivered: answers that a slow sink or consumer did not get,
            by which of the two.
        over_budget: answers older than the latency budget. age_ns: of the last answer, from capture on.
        online: whether the source delivers. reconnects: how often it came back.
        replacements: workers that hung and were replaced.
    """

    frames: int
    answered: int
    dropped: Mapping[str, int]
    undelivered: Mapping[str, int]
    over_budget: int
    age_ns: int | None
    online: bool
    reconnects: int
    replacements: int
    times: Mapping[str, Histogram]


NO_FRAMES = Counts(frames_in=0, answered=0, dropped={}, waiting=0)


class RunCounts:
    """Counts of one run, from any thread.

    Attributes:
        frames: gives what became of the source's frames; set where the source is known.
        is_online: says whether the source delivers.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.frames: Callable[[], Counts] = lambda: NO_FRAMES
        self.is_online: Callable[[], bool] = lambda: False
        self._answered = self._over_budget = self._reconnects = self._replacements = 0
        self._undelivered: Counter[str] = Counter()
        self._age_ns: int | None = None
        self._times = {stage: StageTimes() for stage in (*STAGES, END_TO_END)}

    def undelivered(self, receiver: str) -> None:
        """An answer did not reach a receiver, which had no time for it."""
        with self._lock:
            self._undelivered[receiver] += 1

    def answered(self, age_ns: int, *, over_budget: bool = False) -> None:
        """A frame has its answer, so old by now."""
        with self._lock:
            self._answered += 1
            self._over_budget += over_budget
            self._age_ns = age_ns

    def reconnected(self) -> None:
        """The source came back."""
        with self._lock:
            self._reconnects += 1

    def replaced(self) -> None:
        """A worker hung and was replaced."""
        with self._lock:
            self._replacements += 1

    def took(self, times_ns: Mapping[str, int]) -> None:
        """The times of stages."""
        with self._lock:
            for stage, time_ns in times_ns.items():
                self._times[stage].add(time_ns)

    def summary(self) -> Sequence[StageSummary]:
        """p50 and p90 of every stage that something came by, and of the total."""
        with self._lock:
            rows = [times.summary(stage) for stage, times in self._times.items()]
        return [row for row in rows if row is not None]

    def state(self) -> State:
        """All of them at this moment."""
        frames, online = self.frames(), self.is_online()
        with self._lock:
            return State(
                frames=frames.frames_in,
                answered=self._answered,
                dropped=dict(frames.dropped),
                undelivered=dict(self._undelivered),
                over_budget=self._over_budget,
                age_ns=self._age_ns,
                online=online,
                reconnects=self._reconnects,
                replacements=self._replacements,
                times={stage: times.histogram() for stage, times in self._times.items()},
            )
