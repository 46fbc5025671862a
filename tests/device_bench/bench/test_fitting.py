"""What is measured to decide which networks hold a budget: what is listed does, and nothing that does is missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bench.bench.fitting import Budgets, Decision, Seen, excess, fitting, judged, larger

FAR, MARGIN = 1.5, 0.1


@dataclass(frozen=True)
class Toy:
    """A network whose cost is its multiply-adds times what its family and its own kernels make of them."""

    family: str
    scale: tuple[float, ...]
    own: float

    @property
    def name(self) -> str:
        return f"{self.family}-{'-'.join(map(str, self.scale))}"

    @property
    def multiply_adds(self) -> int:
        width, side = self.scale
        return round(width**2 * side**2 * 1000)

    @property
    def weights(self) -> int:
        return round(self.scale[0] * 100)

    @property
    def cost(self) -> int:
        """By up to 1.2 beside what the multiply-adds say: a larger one may be faster by less than FAR."""
        return round(self.multiply_adds * {"a": 1.0, "b": 3.0}[self.family] * self.own)

    @property
    def size_bytes(self) -> int:
        return self.weights + 7


def seen(toy: Toy, noise: float = 1.0) -> Seen:
    return Seen(size_bytes=toy.size_bytes, cost=round(toy.cost * noise), least=round(toy.cost * noise))


WIDTHS, SIDES = (0.25, 0.5, 0.75, 1.0), (1, 2, 3, 4)
PLACES = [(family, (width, side)) for family in "ab" for width in WIDTHS for side in SIDES]


@given(
    own=st.lists(st.floats(1.0, 1.2), min_size=len(PLACES), max_size=len(PLACES)),
    noise=st.lists(st.floats(0.96, 1.04), min_size=len(PLACES), max_size=len(PLACES)),
    cost=st.integers(50, 60_000),
    size=st.one_of(st.none(), st.integers(20, 120)),
    at_once=st.integers(1, 5),
)
def test_what_is_listed_fits_and_nothing_that_fits_is_missing(
    own: list[float], noise: list[float], cost: int, size: int | None, at_once: int
) -> None:
    toys = [Toy(family, scale, its) for (family, scale), its in zip(PLACES, own, strict=True)]
    noises = {toy.name: value for toy, value in zip(toys, noise, strict=True)}
    budgets = Budgets(cost=cost, size_bytes=size, margin=MARGIN, far=FAR)
    measured: list[str] = []

    def measure(batch: Sequence[Toy], longer: bool) -> list[Seen]:
        measured.extend(toy.name for toy in batch if not longer)
        return [seen(toy, noises[toy.name]) for toy in batch]

    decisions = fitting(toys, budgets, measure, at_once=at_once)
    assert [decision.network for decision in decisions] == toys
    for decision in decisions:
        toy = decision.network
        holds = toy.cost <= cost and (size is None or toy.size_bytes <= size)
        if decision.outcome == "fits":
            assert holds
            assert toy.name in measured
        if holds:  # by less than two measurements may differ: at the edge, and shown as that
            assert decision.outcome in ("fits", "edge")
        if decision.outcome == "passed over":
            assert toy.name not in measured
            assert decision.instead is not None
            assert larger(toy, decision.instead)
            assert decision.instead.cost > cost
    assert len(measured) == len(set(measured))


def test_larger_relatives_of_what_is_far_over_the_budget_are_not_measured() -> None:
    toys = [Toy("a", (width, side), 1.0) for width in WIDTHS for side in SIDES]
    measured: list[str] = []

    def measure(batch: Sequence[Toy], longer: bool) -> list[Seen]:
        measured.extend(toy.name for toy in batch)
        return [seen(toy) for toy in batch]

    budgets = Budgets(cost=1000, size_bytes=None, margin=MARGIN, far=FAR)
    decisions = fitting(toys, budgets, measure)
    outcomes = [decision.outcome for decision in decisions]
    assert outcomes.count("fits") == sum(toy.cost * (1 + MARGIN) <= 1000 for toy in toys)
    assert outcomes.count("passed over") >= 5
    everything = fitting(toys, budgets, measure, everything=True)
    listed = [
        [decision.network.name for decision in found if decision.outcome == "fits"] for found in (decisions, everything)
    ]
    assert listed[0] == listed[1]
    assert "passed over" not in [decision.outcome for decision in everything]


def test_weights_that_are_over_the_size_budget_are_not_even_made() -> None:
    toys = [Toy("a", (width, 1), 1.0) for width in WIDTHS]
    made: list[float] = []

    def measure(batch: Sequence[Toy], longer: bool) -> list[Seen]:
        made.extend(toy.scale[0] for toy in batch)
        return [Seen(size_bytes=toy.size_bytes) for toy in batch]

    decisions = fitting(toys, Budgets(cost=1, size_bytes=50, margin=0, far=FAR), measure)
    assert made == [0.25, 0.5]
    assert [decision.outcome for decision in decisions] == ["failed", "too large", "too large", "too large"]


@pytest.mark.parametrize(
    ("cost", "least", "outcome"),
    [(90, 80, "fits"), (95, 80, "edge"), (300, 80, "edge"), (109, 109, "edge"), (120, 112, "too slow")],
)
def test_a_budget_is_held_by_the_margin(cost: int, least: int, outcome: str) -> None:
    budgets = Budgets(cost=100, size_bytes=None, margin=0.1, far=FAR)
    assert judged(Seen(size_bytes=1, cost=cost, least=least), budgets) == outcome


def test_what_is_at_the_edge_is_measured_once_more_and_for_longer() -> None:
    toy = Toy("a", (0.5, 1), 1.0)
    asked: list[bool] = []

    def measure(batch: Sequence[Toy], longer: bool) -> list[Seen]:
        asked.append(longer)
        return [Seen(size_bytes=1, cost=90 if longer else 300, least=85 if longer else 95)]

    [decision] = fitting([toy], Budgets(cost=100, size_bytes=None, margin=0.1, far=FAR), measure)
    assert asked == [False, True]
    assert decision.outcome == "fits"


def test_the_worst_budget_says_how_near_a_network_is() -> None:
    toy = Toy("a", (0.5, 1), 1.0)
    decision = Decision(network=toy, outcome="too slow", seen=Seen(size_bytes=30, cost=200, least=200))
    assert excess(decision, Budgets(cost=100, size_bytes=60, margin=0, far=FAR)) == 2.0
