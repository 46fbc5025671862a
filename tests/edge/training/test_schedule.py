"""The learning rate follows its closed forms."""

import math

import pytest

from edge.recipe.recipe import Phase
from edge.training.schedule import learning_rate


def phase(**changes: object) -> Phase:
    return Phase.model_validate({"epochs": 10, "batch_size": 1, "learning_rate": 0.5, **changes})


def test_poly_is_the_paper_s() -> None:
    given = phase(schedule="poly", poly_power=0.9)
    for step in (0, 1, 50, 99):
        assert learning_rate(given, step, 10) == pytest.approx(0.5 * (1 - step / 100) ** 0.9)


def test_cosine_halves_in_the_middle() -> None:
    given = phase(schedule="cosine")
    assert learning_rate(given, 0, 10) == 0.5
    assert learning_rate(given, 50, 10) == pytest.approx(0.25)
    assert learning_rate(given, 99, 10) == pytest.approx(0.25 * (1 + math.cos(math.pi * 0.99)))


def test_constant_stays() -> None:
    assert {learning_rate(phase(schedule="constant"), step, 10) for step in range(100)} == {0.5}


def test_warmup_rises_linearly_to_the_highest() -> None:
    given = phase(schedule="cosine", warmup_epochs=0.4)
    assert [learning_rate(given, step, 10) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_every_rate_is_positive_and_at_most_the_highest() -> None:
    for name in ("poly", "cosine", "constant"):
        rates = [learning_rate(phase(schedule=name, warmup_epochs=1), step, 7) for step in range(70)]
        assert min(rates) > 0
        assert max(rates) <= 0.5
