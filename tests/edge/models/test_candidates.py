"""The candidates of `edge models --fit`: every model of the registry, counted, in the order of what they can do."""

import pytest
import torch

from edge.errors import UsageError
from edge.models.attention import ATTENTION
from edge.models.candidates import Candidate, candidates, counted, most_capable_first
from edge.models.published import PUBLISHED, published_for
from edge.models.registry import build, models_of


@pytest.fixture(scope="module")
def classifiers() -> list[Candidate]:
    return candidates("classify", models=("mobilenet_v1", "mobilenet_v2"))


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_every_model_of_a_task_and_no_other_is_a_candidate(task: str) -> None:
    size = [(64, 64)]
    found = candidates(task, sizes_hw=size, attention=ATTENTION, classes=2, widths=[0.5])
    assert {entry.model for entry in found} == set(models_of(task))
    assert {entry.arguments.get("attention") for entry in found} >= set(ATTENTION)
    assert len({entry.name for entry in found}) == len(found)


def test_counts_are_those_of_the_network_that_is_built() -> None:
    found = counted("mobilenet_v2", {"classes": 10, "width": 0.35, "resolution": 96, "attention": "gct"})
    network = build(found.model, **found.arguments)
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    assert found.weights == sum(layer.weight.numel() for layer in layers)
    assert found.name == "mobilenet_v2-0.35-96x96-gct-10c"


def test_a_family_is_what_width_and_size_alone_change(classifiers: list[Candidate]) -> None:
    assert len({entry.family for entry in classifiers}) == 2
    assert len({(entry.family, entry.scale) for entry in classifiers}) == len(classifiers)


def test_the_most_capable_come_first(classifiers: list[Candidate]) -> None:
    ordered = most_capable_first(classifiers)
    published = [entry.published.value for entry in ordered if entry.published is not None]
    assert published == sorted(published, reverse=True)
    assert published[0] == 0.75
    places = {entry.name: place for place, entry in enumerate(ordered)}
    # More of a network than a published one stands before it, and behind the next better one of its model.
    assert places["mobilenet_v2-1.4-192x192-1000c"] < places["mobilenet_v2-1.0-224x224-1000c"]
    assert places["mobilenet_v2-1.4-224x224-1000c"] < places["mobilenet_v2-1.4-192x192-1000c"]


def test_where_published_figures_are_of_several_data_sets_multiply_adds_order() -> None:
    found = candidates("segment", models=("fast_scnn", "deeplab_mobilenet_v2"), sizes_hw=[(256, 512), (513, 513)])
    ordered = most_capable_first(found)
    assert [entry.multiply_adds for entry in ordered] == sorted((entry.multiply_adds for entry in found), reverse=True)


def test_every_published_row_is_of_a_network_that_can_be_built() -> None:
    for row in PUBLISHED:
        with torch.device("meta"):
            build(row.model, classes=2, **row.arguments)
        assert 0 < row.value < 1


def test_a_network_with_attention_has_none_of_the_plain_one_s_accuracy() -> None:
    arguments = {"width": 1.0, "resolution": 224, "attention": "none"}
    found = published_for("mobilenet_v2", arguments)
    assert found is not None
    assert found.value == 0.718
    assert published_for("mobilenet_v2", {**arguments, "attention": "gct"}) is None
    assert published_for("mobilenet_v2", {**arguments, "width": 0.6}) is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"task": "segmet"}, "segment"),
        ({"task": "segment", "models": ("mobilenet_v1",)}, "--task classify"),
        ({"task": "classify", "attention": ("gtc",)}, "gct"),
        ({"task": "classify", "models": ("mobilenet_v1",), "sizes_hw": [(96, 128)]}, "takes 96x128"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        candidates(**asked)  # type: ignore[arg-type]  # as a command line would


def test_what_is_said_twice_is_one_candidate() -> None:
    once = candidates("classify", models=["mobilenet_v1"], widths=[0.25], sizes_hw=[(32, 32)], classes=3)
    said = {"models": ["mobilenet_v1"] * 2, "widths": [0.25] * 2, "attention": ["none"] * 2, "heads": [None] * 2}
    again = candidates("classify", sizes_hw=[(32, 32)], classes=3, **said)  # type: ignore[arg-type]
    assert [one.name for one in again] == [one.name for one in once] and len(once) == 1
