"""How long a training still takes, by the steps and evaluations that were measured."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.data.splits import Split
from edge.recipe.recipe import Phase, Recipe
from edge.training.batches import batches_per_epoch

QAT_COST = 2.0
"""So many times a float step a step with fake quantization takes, about; once it runs, it is measured."""
FEWEST, RECENT = 3, 50
"""Steps from which on anything is said, and how many of the last ones count."""


@dataclass(frozen=True, kw_only=True)
class Afterwards:
    """What follows a phase, in steps and evaluations of that phase."""

    steps: float = 0.0
    evaluations: float = 0.0


NOTHING = Afterwards()


class Remaining:
    """The time that is left of a phase and of what follows it. `clock` gives seconds that only grow."""

    def __init__(
        self, phase: Phase, per_epoch: int, afterwards: Afterwards, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._phase, self._per_epoch, self._afterwards, self._clock = phase, per_epoch, afterwards, clock
        self._steps: deque[float] = deque(maxlen=RECENT)
        self._evaluation_s = 0.0
        self._since: float | None = None

    def begun(self) -> None:
        """An evaluation begins, or an epoch does, whose first batch has no step before it."""
        self._since = self._clock()

    def stepped(self) -> None:
        """A step is done, with the wait for its batch."""
        now = self._clock()
        if self._since is not None:
            self._steps.append(now - self._since)
        self._since = now

    def evaluated(self) -> None:
        """An evaluation is done, and what was written with it."""
        if self._since is not None:
            self._evaluation_s = self._clock() - self._since

    def told(self, epoch: int, batch: int) -> str | None:
        """`about 41 min left in all`, with so many epochs done, and batches of the next; None: nobody knows, or 0."""
        if len(self._steps) < FEWEST:
            return None
        phase, after = self._phase, self._afterwards
        steps = (phase.epochs - epoch) * self._per_epoch - batch + after.steps
        if steps <= 0:
            return None
        step_s = sum(self._steps) / len(self._steps)
        seconds = steps * step_s + (_evaluations(phase, epoch) + after.evaluations) * self._evaluation_s
        return f"{'at most ' * (phase.patience is not None)}about {time_text(seconds)} left in all"


def afterwards_of(recipe: Recipe, training: Split) -> Afterwards:
    """The quantization-aware phase that follows the float phase, in the latter's steps: images by pixels."""
    train, qat = recipe.train, recipe.qat
    if qat is None:
        return NOTHING
    height, width = recipe.preprocess.height, recipe.preprocess.width
    crop = train.crop_hw or (height, width)
    share = qat.batch_size * height * width / (train.batch_size * crop[0] * crop[1])
    steps = qat.epochs * batches_per_epoch(len(training), qat) * share * QAT_COST
    return Afterwards(steps=steps, evaluations=_evaluations(qat, 0) * QAT_COST)


def time_text(seconds: float) -> str:
    """`40 s`, `12 min`, `2 h 10 min`: as finely as an estimate deserves."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _evaluations(phase: Phase, done: int) -> int:
    """Evaluations that follow `done` epochs."""
    return len({*range(phase.eval_epochs, phase.epochs + 1, phase.eval_epochs), phase.epochs} - set(range(done + 1)))
