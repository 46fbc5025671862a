"""Post-training quantization by measured gain: each step is tried and judged on images it has not seen."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from edge.artifact.scheme import INT8_SCHEME, Scheme
from edge.errors import UnsupportedError, UsageError, unknown_name
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.estimators import Estimator, Range
from edge.quantization.ptq.judge import Judge, Score
from edge.quantization.ptq.state import Chosen, Images, State
from edge.quantization.ptq.steps import QUICK, STEPS, Work
from edge.quantization.quantize_graph import with_biases

HELD_OUT = 5
"""Every so many-th image is held out, to judge by."""
MOST_HELD_OUT = 40
FEWEST_IMAGES = 10
"""With fewer there are none to judge by."""
LEAST_GAIN_DB = 0.02


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step brought.

    Attributes:
        before, after: by what the step is judged by; None where it could not be taken.
        refused: why it could not.
        seconds: that it took, judging left out.
    """

    step: str
    before: Score | None
    after: Score | None
    kept: bool
    refused: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Improved:
    """A quantized network, and how it came to be.

    Attributes:
        plain, total: scores of nearest rounding and of what was made, by the integers' answers.
        activations: the score of 8-bit activations alone with the float network's weights.
        judged_on: images, which no step has seen.
        work: what the steps were given.
    """

    state: State
    outcomes: tuple[Outcome, ...]
    plain: Score
    total: Score
    activations: Score
    judged_on: int
    work: Work


@dataclass(frozen=True, kw_only=True)
class Reached:
    """Where a run stands after some of its steps.

    Attributes:
        given: the float graph that the first step was given. state: that the next one gets.
        plain: the score of nearest rounding.
    """

    given: Graph
    state: State
    plain: Score
    outcomes: tuple[Outcome, ...]


class Shelf(Protocol):
    """Keeps what was reached, so that an interrupted run can go on; nothing is kept of steps of seconds (QUICK)."""

    def restore(self, given: Graph, state: State) -> Reached | None:
        """What was reached with this graph, in place of a state without ranges; None: start anew."""

    def keep(self, reached: Reached) -> None:
        """A step was taken."""


Progress = Callable[[str, int, int], None]


def improve(
    graph: Graph,
    images: Images,
    *,
    steps: Sequence[str],
    multiply_adds: float,
    epochs: int,
    decides: bool,
    estimator: Estimator = "mse",
    scheme: Scheme = INT8_SCHEME,
    input_range: Range | None = None,
    seed: int = 0,
    shelf: Shelf | None = None,
    progress: Progress = lambda step, done, of: None,
) -> Improved:
    """Quantize a float graph after training, step by step.

    Args:
        graph: float32, NCHW, one input, batch norm folded.
        images: without labels, ten or more. Every fifth judges, or fewer of very many.
        steps: names of `steps.STEPS`, taken in that table's order.
        multiply_adds, epochs: that training may cost, and passes over the images that it takes at most.
        decides: axis 1 of the first output holds scores of classes.
        estimator: of the ranges that the first step finds.
        seed: the same seed and images give the same integers (on one thread count of torch).
        shelf: what was reached before is taken from there; the result is that of one run.

    Raises:
        UsageError: an unknown step, or fewer than FEWEST_IMAGES images.
        UnsupportedError: as `calibrate`.
    """
    for name in steps:
        if name not in STEPS:
            raise UsageError(unknown_name("step", name, STEPS))
    if len(images) < FEWEST_IMAGES:
        raise UsageError(f"{len(images)} calibration images: steps need at least {FEWEST_IMAGES}, to judge by a fifth")
    real = with_biases(prepared(graph))
    judging = held_out(len(images))
    choosing = tuple(index for index in range(len(images)) if index not in set(judging))
    judge = Judge(real, Chosen(images=images, indices=judging), decides=decides)
    work = Work(
        reference=real, images=Chosen(images=images, indices=choosing), judge=judge,
        input_range=input_range, decides=decides, multiply_adds=multiply_adds, epochs=epochs, seed=seed,
        means="bias_fast" in steps, advance=lambda done, of: None,
    )  # fmt: skip
    state = State(real=real, graph=real, parameters={}, scheme=scheme, estimator=estimator)
    quick = QUICK.issuperset(steps)
    reached = None if quick or shelf is None else shelf.restore(real, state)
    if reached is None:
        state = work.observed(state)
        reached = Reached(given=real, state=state, plain=judge.total(state), outcomes=())
    for name in [name for name in STEPS if name in steps][len(reached.outcomes) :]:
        state, outcome = _taken(name, reached.state, replace(work, advance=partial(progress, name)))
        reached = replace(reached, state=state, outcomes=(*reached.outcomes, outcome))
        if not quick:
            work.forget()
        if not quick and shelf is not None:
            shelf.keep(reached)
    state = reached.state
    total, activations = judge.total(state), judge.activations(replace(state, graph=state.real))
    work.forget()
    judge.forget()
    return Improved(
        state=state,
        outcomes=reached.outcomes,
        plain=reached.plain,
        total=total,
        activations=activations,
        judged_on=len(judging),
        work=work,
    )


def held_out(count: int) -> tuple[int, ...]:
    """Which of `count` images judge and are seen by no step."""
    return tuple(range(0, count, max(HELD_OUT, count // MOST_HELD_OUT)))


def _taken(name: str, state: State, work: Work) -> tuple[State, Outcome]:
    """The state after a step, or as it was where the step does not help or cannot be taken."""
    step = STEPS[name]
    before = step.score(work.judge, state)
    started = time.monotonic()
    try:
        after_state = step.run(state, work)
    except UnsupportedError as error:
        seconds = time.monotonic() - started
        return state, Outcome(step=name, before=before, after=None, kept=False, refused=str(error), seconds=seconds)
    seconds = time.monotonic() - started
    after = step.score(work.judge, after_state)
    kept = after.sqnr_db > before.sqnr_db + LEAST_GAIN_DB
    outcome = Outcome(step=name, before=before, after=after, kept=kept, refused=None, seconds=seconds)
    return after_state if kept else state, outcome
