"""Where a threshold comes from, and what a recipe's [verdict] section may say."""

import pytest

from edge.artifact.thresholds import Limits, Thresholds, recipe_thresholds, resolve
from edge.errors import RecipeError


def test_the_command_line_wins_over_the_recipe_and_that_over_the_defaults() -> None:
    """Each threshold with its origin."""
    recipe = Thresholds(accuracy_floor=0.98, latency_budget="30ms", max_differing=3)
    limits = resolve(Thresholds(latency_budget="20ms"), recipe)
    assert limits.accuracy_floor == 0.98 and limits.origins["accuracy_floor"] == "recipe"
    assert limits.latency_budget_ns == 20_000_000 and limits.origins["latency_budget_ns"] == "command line"
    assert limits.max_differing == 3
    assert limits.latency_percentile == 90 and limits.origins["latency_percentile"] == "default"
    assert limits.boundary_floor is None and limits.agreement_floor is None and limits.size_budget_bytes is None


def test_nothing_said_is_the_defaults() -> None:
    resolved = resolve(Thresholds(), None)
    assert Limits(origins=resolved.origins) == resolved
    assert set(resolved.origins.values()) == {"default"}


def test_a_zero_that_was_said_is_not_a_default() -> None:
    """0 values differing is a statement."""
    limits = resolve(Thresholds(max_differing=0, accuracy_floor=0.0), Thresholds(max_differing=5, accuracy_floor=0.9))
    assert limits.max_differing == 0 and limits.accuracy_floor == 0.0


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"latency_budget": "30"}, "latency_budget: '30' has no unit"),
        ({"size_budget": "4"}, "size_budget: '4' has no unit"),
        ({"accuracy_flor": 0.9}, "accuracy_flor"),
        ({"accuracy_floor": 1.5}, "accuracy_floor"),
        ({"latency_percentile": 95}, "latency_percentile"),
    ],
)
def test_a_carried_section_that_does_not_hold_is_named(section: dict[str, object], problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_thresholds({"verdict": section}, "runs/int8")
    assert str(caught.value).startswith("runs/int8: ") and problem in str(caught.value)


def test_artifacts_without_a_recipe_or_section_have_no_thresholds() -> None:
    assert recipe_thresholds(None, "x") is None
    assert recipe_thresholds({"name": "old"}, "x") is None
    assert recipe_thresholds({"verdict": {"size_budget": "4MB"}}, "x") == Thresholds(size_budget="4MB")
