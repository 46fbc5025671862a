"""Activations that get 16 bits in an int8 network: those that bring most for their multiply-adds, within budgets."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge.artifact.scheme import Scheme
from edge.errors import UnsupportedError
from edge.graph.analyses.counts import count_graph
from edge.graph.graph import Graph
from edge.quantization.ptq.improve import LEAST_GAIN_DB, Improved, Progress
from edge.quantization.ptq.judge import Score
from edge.quantization.ptq.spliced import spliced
from edge.quantization.ties import RangeGroup

WIDE = Scheme(activation_bits=16)
NAME = "16 bits"
FINEST = np.float32(1 / 250)
"""Of the step in 8 bits: TFLite's change of scale from 8 to 16 bits takes ratios below 256."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network costs as a file: its bytes, its latency where a budget asks for it, and which budget it is over.

    Attributes:
        over: the budget, in words; None where every one holds.
    """

    size_bytes: int
    latency_ns: int | None
    over: str | None


@dataclass(frozen=True, kw_only=True)
class Region:
    """Operators that compute over int16 together, so that what passes between them is never rounded to 8 bits.

    Attributes:
        layer: that makes the activation. operators: all that make or read it, or an activation tied to it.
        multiply_adds: of theirs.
    """

    layer: str
    operators: frozenset[str]
    multiply_adds: int


@dataclass(frozen=True, kw_only=True)
class Widened:
    """A region that was tried.

    Attributes:
        gain_db: over what was kept before it. score: with it.
        cost: with it; None where it was not counted, as it brings nothing or a smaller one was over a budget.
        refused: why it was not kept; None where it was.
    """

    region: Region
    gain_db: float
    score: Score
    cost: Cost | None
    refused: str | None


@dataclass(frozen=True, kw_only=True)
class Wider:
    """A mixed network, and what was tried.

    Attributes:
        before: the score in int8, cost: that of the int8 network. total: the score of `graph`.
    """

    graph: Graph
    before: Score
    cost: Cost
    total: Score
    tried: tuple[Widened, ...]


def widened(
    made: Improved,
    cost_of: Callable[[Graph], Cost],
    *,
    agreement_floor: float | None = None,
    progress: Progress = lambda step, done, of: None,
) -> Wider:
    """Give activations 16 bits, one after another, until the floor holds, a budget is used up or nothing is gained.

    Every activation is tried alone first, on the held-out images. Then they are taken in the order of decibels gained
    per multiply-add that computes over int16 for it, each judged again with those before it.

    Args:
        made: int8. cost_of: is asked for the int8 network first.
        agreement_floor: share of decisions; where it holds already, nothing is taken. None: goes on while it helps.
    """
    state, judge = made.state, made.work.judge
    plain = state.quantized
    wide = wide_form(made)
    before, cost = judge.integers(plain), cost_of(plain)
    best, chosen, tried = before, frozenset[str](), list[Widened]()
    if cost.over is not None or _holds(before, agreement_floor):
        return Wider(graph=plain, before=before, cost=cost, total=before, tried=())

    def score(operators: frozenset[str]) -> Score | None:
        try:
            return judge.integers(spliced(plain, wide, operators))
        except UnsupportedError:  # no int16 kernel is known
            return None

    regions, alone = regions_of(plain, state.groups), []
    for number, region in enumerate(regions):
        found = score(region.operators)
        if found is not None and found.sqnr_db > before.sqnr_db + LEAST_GAIN_DB:
            alone.append(((found.sqnr_db - before.sqnr_db) / max(1, region.multiply_adds), region))
        progress(NAME, number + 1, len(regions))
    least_over = math.inf
    for _, region in sorted(alone, key=lambda pair: -pair[0]):
        if region.operators <= chosen or _holds(best, agreement_floor):
            continue
        operators = chosen | region.operators
        found = score(operators)
        if found is None:
            continue
        gain, refused, now = found.sqnr_db - best.sqnr_db, None, None
        if gain <= LEAST_GAIN_DB:
            refused = "brings nothing more"
        elif (computed := _multiply_adds(plain, operators)) >= least_over:
            refused = "more multiply-adds than were over a budget"
        else:
            now = cost_of(spliced(plain, wide, operators))
            refused = now.over
            least_over = min(least_over, computed) if now.over is not None else least_over
        tried.append(Widened(region=region, gain_db=gain, score=found, cost=now, refused=refused))
        if refused is None:
            chosen, best = operators, found
    return Wider(graph=spliced(plain, wide, chosen), before=before, cost=cost, total=best, tried=tuple(tried))


def wide_form(made: Improved) -> Graph:
    """The same network over int16 throughout: ranges hold all that the images gave, steps are no finer than FINEST."""
    state = made.work.observed(replace(made.state, scheme=WIDE, estimator="minmax"))
    narrow = made.state.parameters
    fixed = {name for group in state.groups if group.fixed is not None for name in group.tensors}
    parameters = {
        name: found if name in fixed else (max(np.float32(found[0]), np.float32(narrow[name][0]) * FINEST), found[1])
        for name, found in state.parameters.items()
    }
    return replace(state, parameters=parameters).quantized


def regions_of(graph: Graph, groups: tuple[RangeGroup, ...]) -> tuple[Region, ...]:
    """A region for every group of tied activations that is neither the model's input nor an output."""
    ends = {*graph.inputs, *graph.outputs}
    found = []
    for group in groups:
        members = set(group.tensors)
        touching = [entry for entry in graph.operators if members.intersection((*entry.inputs, *entry.outputs))]
        makers = [entry for entry in touching if members.intersection(entry.outputs)]
        if makers and members.isdisjoint(ends):
            operators = frozenset(entry.name for entry in touching)
            found.append(
                Region(layer=makers[0].name, operators=operators, multiply_adds=_multiply_adds(graph, operators))
            )
    return tuple(found)


def _multiply_adds(graph: Graph, operators: frozenset[str]) -> int:
    return sum(entry.multiply_adds or 0 for entry in count_graph(graph).operators if entry.name in operators)


def _holds(score: Score, floor: float | None) -> bool:
    return floor is not None and score.agreement is not None and score.agreement >= floor
