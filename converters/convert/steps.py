"""Post-training quantization of a source by steps: its images, its plan, and what the manifest says of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from converters.convert.budgets import Budgets
from converters.convert.unfinished import OTHER, Unfinished, run_of
from converters.packaging.description import Description
from edge.artifact.quantization_steps import (
    MixedPrecision,
    QuantizationSteps,
    StepAccuracy,
    StepFacts,
    StepScore,
    WidenedLayer,
)
from edge.artifact.scheme import INT8_SCHEME, Scheme
from edge.data.splits import Split
from edge.errors import CheckpointError, UsageError, unknown_name
from edge.graph.graph import Graph
from edge.quantization.ptq.estimators import Estimator, Range
from edge.quantization.ptq.improve import Improved, Outcome, Progress, improve
from edge.quantization.ptq.judge import Judge, Score
from edge.quantization.ptq.steps import EFFORTS, STEPS, effort_for
from edge.quantization.ptq.wider import Wider, widened
from edge.vision.pixels import in_layout, normalize, resize
from edge.vision.preprocess import Preprocess

KEPT_BYTES = 1 << 28
"""Of pixels that are kept once they were read; images beyond are read again."""
DECIDE_BY_SCORES: Mapping[str, bool] = MappingProxyType({"classify": True, "segment": True, "detect": False})
"""Task -> whether the largest score along axis 1 is a decision, where scores exclude each other."""


def decides(description: Description) -> bool:
    """Whether the largest score along axis 1 of a network's first output is its decision."""
    return DECIDE_BY_SCORES[description.task] and description.said.scores != "independent"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done beside rounding to the nearest.

    Attributes:
        steps: names of `edge.quantization.ptq.steps.STEPS`; none: ranges by the estimator, everything rounded.
        multiply_adds, epochs: that training may cost, and passes over the images that it takes at most.
        agreement_floor, accuracy_floor: below this share of equal, of true decisions the steps of the best effort are
            taken as well.
        budgets: under which activations may get 16 bits; None leaves all at 8.
        asked: with too few images to judge by the steps are refused rather than left out.
        seed: of everything that is drawn.
    """

    steps: tuple[str, ...] = ()
    multiply_adds: float = 0.0
    epochs: int = 0
    agreement_floor: float | None = None
    accuracy_floor: float | None = None
    budgets: Budgets | None = None
    asked: bool = False
    seed: int = 0


NEAREST = Plan()


def plan_of(
    effort: str,
    steps: Sequence[str] | None,
    *,
    agreement_floor: float | None = None,
    accuracy_floor: float | None = None,
    seed: int = 0,
    scheme: Scheme = INT8_SCHEME,
    budgets: Budgets | None = None,
) -> Plan:
    """The plan that a command line names.

    Refuses (UsageError) an unknown effort or step, and budgets where everything has 16 bits.
    """
    if effort not in EFFORTS:
        raise UsageError(f"--effort: {unknown_name('effort', effort, EFFORTS)}")
    for name in steps or ():
        if name not in STEPS:
            raise UsageError(f"--steps: {unknown_name('step', name, STEPS)}")
    if budgets is not None and scheme.activation_bits == 16:
        raise UsageError("--size-budget and --latency-budget choose what gets 16 bits; --activations int16 gives all")
    chosen = effort_for(effort, scheme)
    trained = chosen if steps is None or chosen.epochs else EFFORTS["default"]
    return Plan(
        steps=tuple(chosen.steps if steps is None else steps),
        multiply_adds=trained.multiply_adds,
        epochs=trained.epochs,
        agreement_floor=agreement_floor,
        accuracy_floor=accuracy_floor,
        budgets=budgets,
        asked=not {steps, agreement_floor, accuracy_floor, budgets} <= {None} or effort == "best",
        seed=seed,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SplitImages:
    """The images of a split as a network takes them; pixels are kept where they fit in KEPT_BYTES."""

    split: Split
    preprocess: Preprocess
    _pixels: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many."""
        return len(self.split)

    def batch(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """Some of them, normalized: float32 (n, 3, h, w). Refuses (DataError) an image that cannot be read."""
        pixels = np.stack([self._read(index) for index in indices])
        return np.ascontiguousarray(in_layout(normalize(pixels, self.preprocess), "nchw"))

    def _read(self, index: int) -> npt.NDArray[np.uint8]:
        if index in self._pixels:
            return self._pixels[index]
        pixels = resize(self.split.image(index), self.preprocess)
        if (len(self._pixels) + 1) * pixels.nbytes <= KEPT_BYTES:
            self._pixels[index] = pixels
        return pixels


def by_steps(
    graph: Graph,
    images: SplitImages,
    plan: Plan,
    *,
    decides: bool,
    estimator: Estimator,
    scheme: Scheme,
    input_range: Range | None,
    accuracy: Judge | None,
    unfinished: Unfinished,
    file_of: Callable[[Graph], bytes],
    progress: Progress,
    report: Callable[[Improved | Wider], None],
) -> tuple[Graph, QuantizationSteps]:
    """The integer graph, and what the manifest says of how it came to be; `report` is told in full.

    Args:
        accuracy: has labels; needed with an accuracy floor.
        unfinished: keeps what was reached, and has it where a run is to be resumed.
        file_of: the TFLite file of an integer graph; asked where there are budgets.

    Raises:
        UsageError, UnsupportedError: as `improve`. CheckpointError: what is to be resumed is of other inputs.
    """

    def take(steps: Sequence[str], multiply_adds: float, epochs: int) -> tuple[Improved, StepAccuracy | None]:
        made = improve(
            graph, images, steps=steps, multiply_adds=multiply_adds, epochs=epochs, decides=decides,
            estimator=estimator, scheme=scheme, input_range=input_range, seed=plan.seed, progress=progress,
            shelf=unfinished.of(run_of(steps, multiply_adds, epochs)),
        )  # fmt: skip
        report(made)
        return made, None if accuracy is None else _accuracy(accuracy, made.state.quantized)

    best = effort_for("best", scheme)
    first = plan.steps, plan.multiply_adds, plan.epochs
    further = tuple(dict.fromkeys((*plan.steps, *best.steps))), best.multiply_adds, best.epochs
    reached = unfinished.held().run if unfinished.resume else None
    if reached not in (None, run_of(*first), run_of(*further)):
        raise CheckpointError(unfinished.path, OTHER)
    goes_further = reached == run_of(*further) != run_of(*first)  # what came first was below a floor
    if not goes_further:
        made, true = take(*first)
        below = _below(made.total.agreement, plan.agreement_floor) or _below(
            None if true is None else true.accuracy, plan.accuracy_floor
        )
        goes_further = below and plan.multiply_adds < best.multiply_adds
    if goes_further:
        made, true = take(*further)
    facts = facts_of(made, plan.seed, true)
    if plan.budgets is None:
        return made.state.quantized, facts
    wider = widened(made, plan.budgets.costs(file_of), agreement_floor=plan.agreement_floor, progress=progress)
    report(wider)
    if accuracy is not None:
        true = _accuracy(accuracy, wider.graph)
    added = {"mixed": _mixed(wider, plan.budgets), "total": _score(wider.total), "accuracy": true}
    return wider.graph, facts.model_copy(update=added)


def _below(share: float | None, floor: float | None) -> bool:
    return floor is not None and share is not None and share < floor


def _accuracy(judge: Judge, quantized: Graph) -> StepAccuracy:
    found = judge.integers(quantized).accuracy
    assert found is not None and judge.float_accuracy is not None  # the judge has labels
    return StepAccuracy(accuracy=found, of_float=judge.float_accuracy, images=len(judge.images))


def facts_of(made: Improved, seed: int, accuracy: StepAccuracy | None = None) -> QuantizationSteps:
    """What a manifest keeps: everything but seconds."""
    return QuantizationSteps(
        steps=tuple(_facts(outcome) for outcome in made.outcomes),
        plain=_score(made.plain),
        total=_score(made.total),
        activations=_score(made.activations),
        judged_images=made.judged_on,
        seed=seed,
        accuracy=accuracy,
    )


def _facts(outcome: Outcome) -> StepFacts:
    before, after = (None if score is None else _score(score) for score in (outcome.before, outcome.after))
    return StepFacts(step=outcome.step, kept=outcome.kept, before=before, after=after, refused=outcome.refused)


def _mixed(wider: Wider, budgets: Budgets) -> MixedPrecision:
    layers = tuple(
        WidenedLayer(
            layer=one.region.layer,
            form="int16",
            operators=tuple(sorted(one.region.operators)),
            kept=one.refused is None,
            score=_score(one.score),
            size_bytes=None if one.cost is None else one.cost.size_bytes,
            latency_ns=None if one.cost is None else one.cost.latency_ns,
            refused=one.refused,
        )
        for one in wider.tried
    )
    return MixedPrecision(
        size_budget_bytes=budgets.size_bytes,
        latency_budget_ns=budgets.latency_ns,
        before=_score(wider.before),
        size_bytes=wider.cost.size_bytes,
        latency_ns=wider.cost.latency_ns,
        over=wider.cost.over,
        layers=layers,
    )


def _score(score: Score) -> StepScore:
    return StepScore(sqnr_db=score.sqnr_db if math.isfinite(score.sqnr_db) else None, agreement=score.agreement)
