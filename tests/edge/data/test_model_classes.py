"""A split's classes are held to the model's: the same names in the same order, of which two may be alike."""

import pytest

from edge.data.model_classes import require_model_classes
from edge.data.splits import Sample, Split
from edge.errors import UsageError

MODEL = ("background", "crane", "heron", "crane")  # ImageNet's bird and machine
SAMPLE = Sample(name="a.png", image=lambda: pytest.fail("no pixel is needed"), target=1)


def split_of(*classes: str) -> Split:
    return Split(samples=(SAMPLE,), task="classify", classes=classes, origin="somebody's")


@pytest.mark.parametrize("classes", [MODEL, ("background", "crane (1)", "heron", "crane (3)"), ("none", *MODEL[1:])])
def test_two_classes_of_one_name_are_the_models_own(classes: tuple[str, ...]) -> None:
    """As a file of classes has them, as they are told apart, and with a name that the model does not know."""
    require_model_classes(split_of(*classes), MODEL, "the model", independent=False)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("background", "heron", "crane", "crane"), "class 1 is 'heron', the model's is 'crane'"),
        (("crane", "background", "heron", "crane"), "class 0 is 'crane', the model's is 'background'"),
        (MODEL[:3], "the model has 4 classes, somebody's has 3"),
    ],
)
def test_another_order_is_refused(classes: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        require_model_classes(split_of(*classes), MODEL, "the model", independent=False)
