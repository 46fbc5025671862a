"""The best evaluation is the first of equal ones, and patience counts evaluations since then."""

from typing import Any

from edge.data.generated import generated_split
from edge.recipe.recipe import Qat, Train
from edge.training.result import best_of, evaluations, is_over, kept_metrics, no_better_than_chance, score_of


def _history(*scores: float, phase: str = "float") -> list[dict[str, Any]]:
    return [{"phase": phase, "epoch": epoch, "val": {"top1": score}} for epoch, score in enumerate(scores)]


def _phase(**keys: Any) -> Train:
    return Train(epochs=9, batch_size=1, learning_rate=0.1, **keys)


def test_a_tie_goes_to_the_earlier() -> None:
    assert best_of(_history(0.5, 0.75, 0.75, 0.6)) == 1
    assert best_of(_history(0.5, 0.5)) == 0


def test_each_task_is_compared_by_its_own_metric() -> None:
    assert score_of({"top1": 0.25, "top5": 1.0}) == 0.25
    assert score_of({"mean_average_precision": 0.5, "label_accuracy": 0.9}) == 0.5
    assert score_of({"miou": 0.75, "pixel_accuracy": 0.9}) == 0.75
    assert score_of({"epoch": 1}) == -1.0


def test_only_the_phase_itself_is_looked_at() -> None:
    history = [*_history(1.0), *_history(0.5, 0.75, phase="qat"), {"phase": "qat", "epoch": 2}]
    assert [entry["epoch"] for entry in evaluations(history, "qat")] == [0, 1]


def test_patience_counts_evaluations_without_a_better_one() -> None:
    assert not is_over(_phase(patience=2), _history(0.5, 0.5), "float")
    assert is_over(_phase(patience=2), _history(0.5, 0.5, 0.4), "float")
    assert not is_over(_phase(patience=2), _history(0.5, 0.5, 0.6, 0.6), "float")
    assert not is_over(_phase(), _history(*[0.5] * 9), "float")


def test_a_phase_is_over_after_its_epochs() -> None:
    assert is_over(_phase(), _history(*[0.5] * 10), "float")
    assert is_over(Qat(epochs=0, batch_size=1, learning_rate=0.1), [], "qat")


def test_the_metrics_of_a_result_are_those_of_the_weights_kept() -> None:
    history = _history(0.5, 0.75, 0.25)
    assert kept_metrics(_phase(keep="best"), history, "float") == {"top1": 0.75}
    assert kept_metrics(_phase(), history, "float") == {"top1": 0.25}
    assert kept_metrics(_phase(), history, "qat") == {}


def test_a_result_that_may_know_nothing_is_told_with_what_to_do() -> None:
    val = generated_split("classify", "val", 16)  # four trees
    learned_nothing = no_better_than_chance({"top1": 0.125}, val)
    assert learned_nothing is not None and "25.00 % by chance" in learned_nothing and "--init" in learned_nothing
    luck = no_better_than_chance({"top1": 0.3125}, val)
    assert luck is not None and "more images (--val-images)" in luck
    assert no_better_than_chance({"top1": 0.75}, val) is None
    assert no_better_than_chance({}, val) is None
