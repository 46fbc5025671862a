"""Which of many networks hold a budget on a target: what is measured, in which order, and what need not be.

Networks of a family differ in width and input size alone, and one that is no smaller in any of them is no faster. They
are measured from the one with the fewest multiply-adds on; where one is over the budget by far, all of its family that
are larger are passed over. What holds the budget is always measured.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar

Outcome = Literal["fits", "edge", "too slow", "too large", "passed over", "failed"]


class Sized(Protocol):
    """A network, by what is known of it before it is made."""

    @property
    def name(self) -> str:
        """Unlike every other's."""
        ...

    @property
    def family(self) -> Hashable:
        """Equal among networks that `scale` compares."""
        ...

    @property
    def scale(self) -> tuple[float, ...]:
        """What a larger network of the family has more of, or as much."""
        ...

    @property
    def multiply_adds(self) -> int:
        """Of one image."""
        ...

    @property
    def weights(self) -> int:
        """Bytes that its file has at least."""
        ...


Network = TypeVar("Network", bound=Sized)


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What a network must hold.

    Attributes:
        cost: nanoseconds or instructions of one inference; None: any. size_bytes: of its file; None: any.
        margin: by what share two measurements of the same file may differ.
        far: over the budget by so many times, a network's larger relatives are not measured.
    """

    cost: int | None
    size_bytes: int | None
    margin: float
    far: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A network that was made: the bytes of its file, and what it costs, None where it was not measured.

    Attributes:
        cost: what the budget is for: a percentile of the latency, or instructions.
        least: what it takes at best, the fastest tenth of its runs: what disturbs a machine makes runs slower alone.
        problem: why it could not be measured.
    """

    size_bytes: int
    cost: int | None = None
    least: int | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Decision(Generic[Network]):
    """What became of a network.

    Attributes:
        outcome: `fits`: holds the budgets, by the margin. `edge`: by less, or only where nothing disturbs it.
            `too slow`, `too large`: does not. `passed over`: nor does `instead`, which is smaller.
        seen: None of one that was not made.
    """

    network: Network
    outcome: Outcome
    seen: Seen | None = None
    instead: Network | None = None


def judged(seen: Seen, budgets: Budgets) -> Outcome:
    """What a measurement says."""
    if budgets.size_bytes is not None and seen.size_bytes > budgets.size_bytes:
        return "too large"
    if seen.cost is None or seen.least is None:
        return "failed"
    if budgets.cost is None or seen.cost * (1 + budgets.margin) <= budgets.cost:
        return "fits"
    return "edge" if seen.least <= budgets.cost * (1 + budgets.margin) else "too slow"


def fitting(
    networks: Sequence[Network],
    budgets: Budgets,
    measure: Callable[[Sequence[Network], bool], Sequence[Seen]],
    *,
    at_once: int = 1,
    everything: bool = False,
    done: Callable[[Sequence[Decision[Network]]], None] = lambda decisions: None,
) -> list[Decision[Network]]:
    """Decide about every network, in their order.

    Args:
        measure: makes some networks and measures those within `budgets.size_bytes`; told to take longer, again.
        at_once: how many are measured in turn. everything: pass nothing over but what is too large.
        done: is told of decisions as they fall; one at the edge is decided once more.
    """
    found: dict[str, Decision[Network]] = {}

    def decide(decisions: Sequence[Decision[Network]]) -> None:
        found.update({decision.network.name: decision for decision in decisions})
        done(decisions)

    waiting = sorted(networks, key=lambda network: (network.multiply_adds, network.name))
    if budgets.size_bytes is not None:
        decide([Decision(network=one, outcome="too large") for one in waiting if one.weights > budgets.size_bytes])
    while waiting := [one for one in waiting if one.name not in found]:
        batch = waiting[:at_once]
        seen = measure(batch, False)
        decide([_decided(*pair, budgets) for pair in zip(batch, seen, strict=True)])
        far = [] if everything else [one for one, its in zip(batch, seen, strict=True) if _far(its, budgets)]
        decide(
            [
                Decision(network=one, outcome="passed over", instead=smaller)
                for one in waiting[at_once:]
                if (smaller := next((other for other in far if larger(one, other)), None)) is not None
            ]
        )
    edge = [decision for decision in found.values() if decision.outcome == "edge"]
    for start in range(0, len(edge), at_once):
        before = edge[start : start + at_once]
        again = measure([decision.network for decision in before], True)
        decide([_decided_again(*pair, budgets) for pair in zip(before, again, strict=True)])
    return [found[network.name] for network in networks]


def _decided(network: Network, seen: Seen, budgets: Budgets) -> Decision[Network]:
    return Decision(network=network, outcome=judged(seen, budgets), seen=seen)


def _decided_again(before: Decision[Network], again: Seen, budgets: Budgets) -> Decision[Network]:
    """By the second measurement; at its best it is as good as in either."""
    known = [seen.least for seen in (before.seen, again) if seen is not None and seen.least is not None]
    seen = again if again.least is None else replace(again, least=min(known))
    return _decided(before.network, seen, budgets)


def _far(seen: Seen, budgets: Budgets) -> bool:
    return seen.least is not None and budgets.cost is not None and seen.least > budgets.far * budgets.cost


def larger(one: Sized, other: Sized) -> bool:
    """Whether a network is of another's family, and in nothing smaller."""
    return one.family == other.family and all(own >= its for own, its in zip(one.scale, other.scale, strict=True))


def excess(decision: Decision[Network], budgets: Budgets) -> float:
    """How many times over its worst budget a measured network is."""
    seen = decision.seen
    shares = [0.0]
    if seen is not None and budgets.size_bytes is not None:
        shares.append(seen.size_bytes / budgets.size_bytes)
    if seen is not None and budgets.cost is not None and seen.cost is not None:
        shares.append(seen.cost / budgets.cost)
    return max(shares)
