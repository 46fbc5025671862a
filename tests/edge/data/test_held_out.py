"""What is held out is the same whenever it is asked for, and every class with two images is on both sides."""

from pathlib import Path

import pytest

from edge.data.held_out import hold_out
from edge.data.splits import Sample, Split
from edge.errors import DataError


def split(*counts: int) -> Split:
    """A split with that many images of each class."""
    samples = [
        Sample(name=f"{label}/{index}.png", image=Path(f"{label}/{index}.png"), target=label)
        for label, count in enumerate(counts)
        for index in range(count)
    ]
    return Split(samples=tuple(samples), task="classify", classes=tuple("abcd"[: len(counts)]), origin="photos")


def test_every_class_with_two_images_is_on_both_sides() -> None:
    train, held = hold_out(split(40, 2, 1, 5), 0.2)
    counts = [[sum(sample.target == label for sample in part.samples) for label in range(4)] for part in (train, held)]
    assert counts == [[32, 1, 1, 4], [8, 1, 0, 1]]
    assert {sample.name for sample in train.samples}.isdisjoint(sample.name for sample in held.samples)
    assert held.origin == "photos (held out)"


def test_the_same_images_are_held_out_in_any_order_and_others_with_another_seed() -> None:
    whole = split(40, 40)
    _, held = hold_out(whole, 0.25)
    _, again = hold_out(whole.subset(range(79, -1, -1)), 0.25)
    _, other = hold_out(whole, 0.25, seed=1)
    names = {sample.name for sample in held.samples}
    assert names == {sample.name for sample in again.samples} != {sample.name for sample in other.samples}
    assert sorted(names)[:3] == ["0/1.png", "0/11.png", "0/12.png"]  # fixed: what was held out stays so


def test_nothing_to_hold_out_is_refused() -> None:
    with pytest.raises(DataError, match="no class has two images"):
        hold_out(split(1, 1), 0.2)
