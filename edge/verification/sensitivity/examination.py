"""Why an artifact is less accurate than its float parent: the ranking of its layers, a closer look, what to try."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.artifact.manifest import Artifact
from edge.artifact.verdict import AtFault, Check
from edge.errors import UsageError
from edge.verification.checks.images import choose_images
from edge.verification.checks.own_answers import OwnAnswers
from edge.verification.checks.parent import find_parent
from edge.verification.checks.subject import open_subject
from edge.verification.sensitivity.advice import Suggestion, advise, stands_out
from edge.verification.sensitivity.layer_facts import gather_facts
from edge.verification.sensitivity.ranking import LayerCost, Ranking, float_input, rank_layers
from edge.verification.verify import Request

CLOSER_LOOK = 5
"""Layers that facts are gathered about: the costliest, either way."""
CLOSER_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to look: at most so many images, and no further batch once so many seconds have passed."""

    samples: int = 16
    limit_s: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The ranking, and suggestions for its costliest layers."""

    ranking: Ranking
    suggestions: tuple[Suggestion, ...]

    def at_fault(self, check: Check) -> tuple[AtFault, ...]:
        """The layer that costs most alone, and the one whose return to float recovers most, if that is another.

        What is lost is noise of the scores; where boundaries failed, the float network's boundaries.
        """
        layers = self.ranking.layers
        edges = check == "boundary" and all(cost.alone_boundary_rank and cost.without_boundary_rank for cost in layers)
        ranks = [_boundary_ranks(cost) if edges else (cost.alone_rank, cost.without_rank) for cost in layers]
        named = [ranked.index(min(ranked)) for ranked in zip(*ranks, strict=True)]
        everything = self.ranking.everything.participant.kept_boundaries or 0.0
        return tuple(
            AtFault(
                check=check,
                operator=cost.layer.name,
                kind=cost.layer.kind,
                reason=_boundary_reason(cost, everything) if edges else _reason(cost, len(layers)),
            )
            for cost in (layers[place] for place in dict.fromkeys(named))
        )


def examine(
    artifact: Artifact, request: Request, effort: Effort, advance: Callable[[int], None] = lambda count: None
) -> Examination:
    """Rank the layers of an INT8 artifact on the images of a request, and look closer at the costliest.

    Raises:
        UsageError: a float artifact, or a file that nothing here computes.
        UnsupportedError: an operator without a float formula, by name.
    """
    subject = open_subject(artifact)
    if isinstance(subject.reference, OwnAnswers):
        raise UsageError(f"{artifact.folder}: its layers cannot be ranked: {subject.reference.reason}")
    if not subject.is_integer:
        raise UsageError(f"{artifact.folder}: is a float artifact; there is no quantization to rank layers by")
    images = choose_images(artifact, request.split, request.samples)
    parent = find_parent(artifact, request.parent)
    graph = None if parent is None else parent.graph()
    ranking = rank_layers(subject, images, graph, samples=effort.samples, limit_s=effort.limit_s, advance=advance)
    worst = sorted(ranking.layers, key=lambda cost: -_worst_share(cost))[:CLOSER_LOOK]
    batches = [float_input(subject, np.stack([images.pixels(index)])) for index in ranking.images[:CLOSER_IMAGES]]
    facts = gather_facts(ranking.network, [cost.layer for cost in worst], batches, advance)
    return Examination(ranking=ranking, suggestions=tuple(advise(artifact, ranking.layers, facts)))


def _worst_share(cost: LayerCost) -> float:
    return max(cost.alone_noise_share, cost.recovered_share)


def _boundary_ranks(cost: LayerCost) -> tuple[int, int]:
    return cost.alone_boundary_rank or 0, cost.without_boundary_rank or 0


def _boundary_reason(cost: LayerCost, everything: float) -> str:
    alone, without = (trial.participant.kept_boundaries or 0.0 for trial in (cost.alone, cost.without))
    return (
        f"alone it keeps {alone:.2%} of the float network's boundaries (place {cost.alone_boundary_rank}); left in "
        f"float, {without:.2%} are kept (place {cost.without_boundary_rank}), with every layer rounded {everything:.2%}"
    )


def _reason(cost: LayerCost, count: int) -> str:
    both = "" if stands_out(cost) else "; it does not stand out both ways"
    return (
        f"alone it makes {cost.alone_noise_share:.1%} of the noise that all {count} layers make (place "
        f"{cost.alone_rank}); left in float, {cost.recovered_share:.1%} of it is gone (place {cost.without_rank})"
        f"{both}"
    )
