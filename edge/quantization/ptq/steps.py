"""The steps of post-training quantization, in the order in which they are taken: every one a value of one table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

from edge.artifact.scheme import Scheme
from edge.errors import UnsupportedError
from edge.graph.analyses.counts import cost_of
from edge.graph.graph import Graph
from edge.quantization.ptq.absorb import absorbed
from edge.quantization.ptq.blocks import by_blocks
from edge.quantization.ptq.calibrate import collect, parameters_of
from edge.quantization.ptq.clip import clipped
from edge.quantization.ptq.copies import with_copies
from edge.quantization.ptq.cross_layer import weights_equalized
from edge.quantization.ptq.distil import distilled
from edge.quantization.ptq.equalize import MOST_WAYS, equalized
from edge.quantization.ptq.estimators import ESTIMATORS, Range
from edge.quantization.ptq.factors import with_factors
from edge.quantization.ptq.idle import without_idle
from edge.quantization.ptq.judge import Judge, Score
from edge.quantization.ptq.layer_rows import layer_by_layer
from edge.quantization.ptq.mean_maps import with_mean_outputs
from edge.quantization.ptq.observation import Observation, observe
from edge.quantization.ptq.rounded import Network
from edge.quantization.ptq.row_factors import with_moments, with_scales
from edge.quantization.ptq.state import Images, State, batches_of, evenly
from edge.quantization.ptq.weights import by_adaround, by_least_squares, corrected_bias

FEW_IMAGES = 16
"""That ranges of a form of the network are found on before it is chosen."""
MOST_VALUES = 1 << 15
"""Of an activation of one image that are counted where every estimator is tried; the bounds are those of all."""
Advance = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every step is given beside the state.

    Attributes:
        reference: the float network as it was given.
        images: to choose by; the judge's are others.
        input_range: of the model's input, where ranges are observed again.
        decides: axis 1 of the first output holds scores of classes.
        multiply_adds, epochs: what training may cost, and passes over the images that it takes at most.
        seed: of everything that is drawn.
        means: some step asks for the means of what layers read.
        advance: is told how much of how much of a step is done.
    """

    reference: Graph
    images: Images
    judge: Judge
    input_range: Range | None
    decides: bool
    multiply_adds: float
    epochs: int
    seed: int
    means: bool
    advance: Advance
    _seen: list[tuple[Graph, Observation]] = field(default_factory=list)

    def seen(self, state: State) -> Observation:
        """What the float network's activations are on the images; one pass, unless it was made or is known already."""
        for graph, observation in self._seen:
            if graph is state.real:
                return observation
        return self.remember(state, observe(state.real, self.images, state.groups, means=self.means))

    def remember(self, state: State, observation: Observation) -> Observation:
        """Keep what is seen of a state's float network, beside the last one's: its step may not be kept."""
        self._seen[:] = [*self._seen[-1:], (state.real, observation)]
        return observation

    def forget(self) -> None:
        """Forget what was seen: a run that goes on from here would not know it, and what is derived differs in bits."""
        self._seen.clear()

    def observed(self, state: State, most: int | None = None) -> State:
        """The state with ranges observed anew, by its own estimator, on all images or on `most`."""
        if most is None or most >= len(self.images):
            return self.ranged(state, self.seen(state))
        return self.ranged(state, observe(state.real, evenly(self.images, most), state.groups, means=False))

    def ranged(self, state: State, seen: Observation) -> State:
        """The state with ranges from what is seen of its float network, by its own estimator."""
        bounds_only = state.estimator == "minmax"
        found = {
            group.name: seen.histogram(group, bounds_only=bounds_only) for group in state.groups if group.fixed is None
        }
        parameters = parameters_of(state.groups, found, state.estimator, state.scheme, self.input_range)
        return replace(state, parameters=parameters)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        does: what it does, in a line.
        run: makes another state. Raises UnsupportedError where it has nothing to work on, with the reason.
        judged_by: the integers' answers, or those of rounded activations with weights in float, for a step that
            the rounding of weights would hide; `rescaled`: as `nearness`.
    """

    does: str
    run: Callable[[State, Work], State]
    judged_by: Literal["total", "activations", "rescaled"]

    def score(self, judge: Judge, state: State) -> Score:
        """A state's score by what the step is judged by."""
        if self.judged_by == "rescaled":
            return nearness(judge, state)
        return judge.total(state) if self.judged_by == "total" else judge.activations(state)


def nearness(judge: Judge, state: State, every: int = 1) -> Score:
    """The score of a step that rescales: of activations alone, or of everything where weights have one scale each."""
    by = judge.activations if state.scheme.weight_granularity == "per_channel" else judge.total
    return by(state, every=every)


def _ranges(state: State, work: Work) -> State:
    """Every estimator of a range tried; the one of the least noise is taken."""
    batches = (work.images.batch(batch) for batch in batches_of(state.real, work.images))
    found = collect(state.real, state.groups, batches, most_values=MOST_VALUES)
    return _best(
        [
            replace(
                state,
                parameters=parameters_of(state.groups, found, estimator, state.scheme, work.input_range),
                estimator=estimator,
            )
            for estimator in ESTIMATORS
        ],
        work,
        work.judge.activations,
    )


def _equalize(state: State, work: Work) -> State:
    best: tuple[float, State, Observation] | None = None
    for number, (graph, seen) in enumerate(equalized(state.real, work.seen(state))):  # one at a time is held
        made = work.ranged(replace(state, real=graph, graph=graph), seen)
        found = nearness(work.judge, made, every=2).sqnr_db
        if best is None or found > best[0]:
            best = found, made, seen
        work.advance(number + 1, MOST_WAYS)
    if best is None:
        raise UnsupportedError("no activation stands between layers alone")
    work.remember(*best[1:])
    work.advance(MOST_WAYS, MOST_WAYS)
    return best[1]


def _idle(state: State, work: Work) -> State:
    found = without_idle(state, work.images)
    if found is None:
        raise UnsupportedError("every channel is read")
    return work.observed(found)


def _cross_layer(state: State, work: Work) -> State:
    found = weights_equalized(state.real, work.images, state.scheme.weight_granularity)
    return _best_graph(found, state, work, "no activation stands between layers alone")


def _absorption(state: State, work: Work) -> State:
    return _best_graph(absorbed(state.real, work.images), state, work, "no rectified channel stays above 0")


def _best_graph(found: Iterable[Graph], state: State, work: Work, refusal: str) -> State:
    """The best of other forms of the float network, with ranges of its own."""
    candidates = [work.observed(replace(state, real=graph, graph=graph), FEW_IMAGES) for graph in found]
    if not candidates:
        raise UnsupportedError(refusal)
    return work.observed(_best(candidates, work, partial(nearness, work.judge)))


def _best(candidates: Sequence[State], work: Work, score: Callable[[State], Score]) -> State:
    """The one that is nearest to the float network."""
    scores = []
    for number, candidate in enumerate(candidates):
        scores.append(score(candidate).sqnr_db)
        work.advance(number + 1, len(candidates))
    return candidates[scores.index(max(scores))]


def _bias_fast(state: State, work: Work) -> State:
    return with_mean_outputs(state, work.seen(state))


def _bias(state: State, work: Work) -> State:
    return layer_by_layer(state, work.images, corrected_bias, seed=work.seed, advance=work.advance)


def _least_squares(state: State, work: Work) -> State:
    return layer_by_layer(state, work.images, by_least_squares, seed=work.seed, advance=work.advance)


def _clip(state: State, work: Work) -> State:
    return clipped(state)


def _batch_norm(state: State, work: Work) -> State:
    return layer_by_layer(state, work.images, with_moments, seed=work.seed, advance=work.advance)


def _scales(state: State, work: Work) -> State:
    return layer_by_layer(state, work.images, with_scales, seed=work.seed, advance=work.advance)


def _adaround(state: State, work: Work) -> State:
    return layer_by_layer(state, work.images, by_adaround, seed=work.seed, advance=work.advance)


def _factors(state: State, work: Work) -> State:
    return with_factors(state, work.images, seed=work.seed, advance=work.advance)


def _copies(state: State, work: Work) -> State:
    return with_copies(state, work.images, seed=work.seed, advance=work.advance)


def _blocks(state: State, work: Work) -> State:
    return by_blocks(state, work.images, epochs=_epochs(state, work), seed=work.seed, advance=work.advance)


def _distil(state: State, work: Work) -> State:
    return distilled(
        state, work.reference, work.images, epochs=_epochs(state, work), decides=work.decides, seed=work.seed,
        advance=work.advance,
    )  # fmt: skip


def _epochs(state: State, work: Work) -> int:
    """Passes over the images that training may take."""
    if Network(state.real).singly:
        raise UnsupportedError("an operator mixes the images of a batch")
    epochs = int(work.multiply_adds / (4 * len(work.images) * max(1, cost_of(state.real).multiply_adds)))
    if epochs < 1:
        raise UnsupportedError("the network is too large for the effort: not one pass over the images")
    return min(epochs, work.epochs)


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "ranges": Step(does="tries every estimator of ranges", run=_ranges, judged_by="activations"),
        "idle": Step(does="sets weights to 0 that read nothing", run=_idle, judged_by="total"),
        "cross_layer": Step(does="evens out the weights of neighbouring layers", run=_cross_layer, judged_by="total"),
        "absorption": Step(
            does="moves what a channel always has into the next bias", run=_absorption, judged_by="rescaled"
        ),
        "equalize": Step(does="evens out the channels of activations", run=_equalize, judged_by="rescaled"),
        "factors": Step(does="scales channels by what their noise costs", run=_factors, judged_by="rescaled"),
        "copies": Step(does="copies channels into dead ones", run=_copies, judged_by="rescaled"),
        "clip": Step(does="cuts the largest weights for the least squared error", run=_clip, judged_by="total"),
        "bias_fast": Step(does="corrects means by the rounding of weights", run=_bias_fast, judged_by="total"),
        "bias": Step(does="corrects the mean of every layer by its bias", run=_bias, judged_by="total"),
        "batch_norm": Step(
            does="gives every channel the mean and deviation of the float network's", run=_batch_norm, judged_by="total"
        ),
        "least_squares": Step(does="chooses the integers of a layer together", run=_least_squares, judged_by="total"),
        "adaround": Step(does="rounds every weight up or down by gradients", run=_adaround, judged_by="total"),
        "scales": Step(does="refines the weights' scales, their integers given", run=_scales, judged_by="total"),
        "blocks": Step(does="trains block after block for its own output", run=_blocks, judged_by="total"),
        "distil": Step(does="trains all layers for the float network's answers", run=_distil, judged_by="total"),
    }
)


QUICK = frozenset({"idle", "cross_layer", "absorption", "equalize", "clip", "bias_fast"})
"""Steps of seconds: a run of these alone is not kept to be resumed."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Steps, what training may cost in multiply-adds, and passes over the images that it takes at most."""

    steps: Sequence[str]
    multiply_adds: float = 0.0
    epochs: int = 0


TRAINED = ("ranges", "absorption", "equalize", "factors", "copies", "least_squares", "distil")
EFFORTS: Mapping[str, Effort] = MappingProxyType(
    {
        "plain": Effort(steps=()),
        "fast": Effort(steps=("equalize", "bias_fast")),
        "default": Effort(steps=TRAINED, multiply_adds=3e11, epochs=16),
        "best": Effort(steps=TRAINED, multiply_adds=2e12, epochs=100),
    }
)


FOR_ONE_SCALE = ("idle", "cross_layer", "absorption")
"""Steps that every effort with steps takes as well where a weight has one scale."""


def effort_for(name: str, scheme: Scheme) -> Effort:
    """An effort of EFFORTS with the steps that a scheme needs."""
    effort = EFFORTS[name]
    if not effort.steps or scheme.weight_granularity == "per_channel":
        return effort
    return replace(effort, steps=tuple(step for step in STEPS if step in (*effort.steps, *FOR_ONE_SCALE)))
