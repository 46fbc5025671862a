"""Which weights a phase leaves behind, when it has gone on for long enough, and whether it learned anything."""

from collections.abc import Mapping, Sequence
from typing import Any

from edge.data.splits import Split
from edge.evaluation.chance import chance_of, wilson_lower
from edge.recipe.recipe import Phase

SCORES = ("top1", "mean_average_precision", "miou", "map")
Entry = Mapping[str, Any]


def score_of(metrics: Mapping[str, Any]) -> float:
    """What evaluations are compared by, in [0, 1]: the first of SCORES that they have; -1 without any."""
    return next((float(metrics[name]) for name in SCORES if metrics.get(name) is not None), -1.0)


def evaluations(history: Sequence[Entry], phase: str) -> list[Entry]:
    """The entries of a phase's evaluations, in order."""
    return [entry for entry in history if entry["phase"] == phase and entry.get("val")]


def best_of(entries: Sequence[Entry]) -> int:
    """The place of the best evaluation; of equal ones the first."""
    return max(range(len(entries)), key=lambda place: (score_of(entries[place]["val"]), -place))


def is_over(phase: Phase, history: Sequence[Entry], name: str) -> bool:
    """Whether a phase has done its epochs, or `patience` evaluations since its best one."""
    entries = evaluations(history, name)
    if not entries:
        return phase.epochs == 0
    if entries[-1]["epoch"] >= phase.epochs:
        return True
    return phase.patience is not None and len(entries) - 1 - best_of(entries) >= phase.patience


def kept_metrics(phase: Phase, history: Sequence[Entry], name: str) -> Mapping[str, Any]:
    """The metrics of the weights that a phase left behind; empty where it was never evaluated."""
    entries = evaluations(history, name)
    if not entries:
        return {}
    metrics: Mapping[str, Any] = entries[best_of(entries) if phase.keep == "best" else -1]["val"]
    return metrics


def no_better_than_chance(metrics: Mapping[str, Any], val: Split) -> str | None:
    """What to say of a result that may know nothing of its images, and what to do; None: it knows something.

    Top-1 is held against chance by the lower end of its 95 % interval, as `edge verify` does; others as they are.
    """
    metric = next((name for name in SCORES if metrics.get(name) is not None), None)
    if metric is None:
        return None
    value = float(metrics[metric])
    chance = chance_of(val, len(val), metric)
    lower = wilson_lower(round(value * len(val)), len(val)) if metric == "top1" else value
    if lower > chance.value:
        return None
    reached = f"val {metric} {value * 100:.2f} % on {len(val)} images"
    told = f"{reached} against {chance.value * 100:.2f} % by chance ({chance.how})"
    if value > chance.value:
        return f"{told} may be luck: validate on more images (--val-images), or train on more"
    cure = "look at the labels, start from pretrained weights (--init), or give more images and epochs"
    return f"{told}: it learned nothing; {cure}"
