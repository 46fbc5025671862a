"""What a training still takes follows from measured steps and evaluations, and from what comes behind the phase."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.data.recipe_splits import recipe_splits
from edge.recipe.recipe import Recipe
from edge.training.progress import Silent
from edge.training.remaining import FEWEST, NOTHING, Afterwards, Remaining, afterwards_of, time_text
from edge.training.run import Request, train

Make = Callable[..., Recipe]


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def measured(recipe: Recipe, afterwards: Afterwards, *, steps: int, step_s: float, evaluation_s: float) -> Remaining:
    """A float phase of 10 batches an epoch, of which so many steps and one evaluation were measured."""
    clock = Clock()
    remaining = Remaining(recipe.train, 10, afterwards, clock)
    remaining.begun()
    clock.now += evaluation_s
    remaining.evaluated()
    remaining.begun()
    for _ in range(steps):
        clock.now += step_s
        remaining.stepped()
    return remaining


def test_steps_and_evaluations_that_are_left_are_counted(classifier: Make) -> None:
    """Two epochs of 10 steps, each evaluated; behind 4 steps of 3 s: 16 steps and 2 evaluations of 6 s are 60 s."""
    remaining = measured(classifier(), NOTHING, steps=4, step_s=3.0, evaluation_s=6.0)
    assert remaining.told(0, 4) == "about 60 s left in all"
    assert remaining.told(1, 0) == "about 36 s left in all"
    assert remaining.told(2, 0) is None


def test_what_follows_the_phase_belongs_to_it(classifier: Make) -> None:
    remaining = measured(classifier(), Afterwards(steps=20, evaluations=4), steps=4, step_s=30.0, evaluation_s=60.0)
    assert remaining.told(0, 4) == f"about {time_text(36 * 30 + 6 * 60)} left in all"
    assert remaining.told(2, 0) == f"about {time_text(20 * 30 + 4 * 60)} left in all"


def test_nothing_is_said_before_a_few_steps_were_measured(classifier: Make) -> None:
    assert measured(classifier(), NOTHING, steps=FEWEST - 1, step_s=3.0, evaluation_s=0).told(0, 2) is None


def test_a_phase_that_may_end_early_takes_at_most_so_long(classifier: Make) -> None:
    recipe = classifier(train__patience=1)
    told = measured(recipe, NOTHING, steps=4, step_s=3.0, evaluation_s=6.0).told(0, 4)
    assert told == "at most about 60 s left in all"


def test_quantization_that_follows_is_counted_by_its_pixels(classifier: Make) -> None:
    """40 images in batches of 8: two epochs of 5 steps, each about two float steps; on crops of a quarter, eight."""
    recipe = classifier()
    training, _ = recipe_splits(recipe.data)
    assert afterwards_of(recipe, training) == Afterwards(steps=20.0, evaluations=4.0)
    smaller = classifier(train__crop_hw=[16, 16])
    assert afterwards_of(smaller, training).steps == 80.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (95, "2 min"), (3000, "50 min"), (7800, "2 h 10 min")]
)
def test_times_are_told_as_finely_as_an_estimate_deserves(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_a_run_says_in_every_epoch_how_long_it_takes(classifier: Make, tmp_path: Any) -> None:
    """Between the phases too: behind the last float step the quantization-aware ones are left."""
    lines: list[str] = []
    notes: list[str] = []

    class Kept(Silent):
        def say(self, line: str) -> None:
            lines.append(line)

        def advance(self, count: int, note: str = "") -> None:
            notes.append(note)

    train(Request(recipe=classifier(), folder=tmp_path / "run", threads=1), Kept())
    epochs = [line for line in lines if " epoch " in line]
    assert [line.endswith("left in all") for line in epochs] == [True, True, True, False]
    assert "left in all" in notes[FEWEST - 1] and "left in all" not in notes[0]
