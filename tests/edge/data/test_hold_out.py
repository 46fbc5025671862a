"""The held-out part follows from images and seed alone, and every class stands on both sides of it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.data.hold_out import hold_out
from edge.data.splits import Sample, Split
from edge.errors import DataError, UsageError


def split_of(folder: Path, labels: list[int], contents: list[int] | None = None) -> Split:
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for index, label in enumerate(labels):
        path = folder / f"{index:03}.png"
        path.write_bytes(b"%d" % (contents[index] if contents else index))
        samples.append(Sample(name=path.name, image=path, target=label))
    return Split(samples=tuple(samples), task="classify", classes=("x", "y", "z"))


def names(split: Split) -> set[str]:
    return {sample.name for sample in split.samples}


def test_every_class_gives_its_share_and_keeps_the_rest(tmp_path: Path) -> None:
    split = split_of(tmp_path, [0] * 40 + [1] * 10 + [2] * 2)
    train, val = hold_out(split, 0.2, seed=0)
    assert Counter(sample.target for sample in val.samples) == {0: 8, 1: 2, 2: 1}
    assert names(train) | names(val) == names(split) and not names(train) & names(val)


def test_every_label_that_holds_twice_stands_on_both_sides(tmp_path: Path) -> None:
    split = split_of(tmp_path, [0] * 40)
    truths = [(int(index % 2 == 0), int(index % 20 == 0), int(index % 7 == 0)) for index in range(40)]
    samples = tuple(replace(sample, target=truth) for sample, truth in zip(split.samples, truths, strict=True))
    parts = hold_out(replace(split, samples=samples, scores="independent"), 0.2, seed=0)
    for part in parts:
        assert np.sum([part.truth(index) for index in range(len(part))], axis=0).min() >= 1


def test_a_class_of_one_image_is_trained_on(tmp_path: Path) -> None:
    train, val = hold_out(split_of(tmp_path, [0] * 8 + [1]), 0.25, seed=0)
    assert {sample.target for sample in train.samples} == {0, 1}
    assert Counter(sample.target for sample in val.samples) == {0: 2}


def test_order_and_place_do_not_matter_and_the_seed_does(tmp_path: Path) -> None:
    split = split_of(tmp_path / "here", [0] * 30 + [1] * 30)
    elsewhere = split_of(tmp_path / "there", [0] * 30 + [1] * 30).subset(range(59, -1, -1))
    held = names(hold_out(split, 0.2, seed=0)[1])
    assert held == names(hold_out(elsewhere, 0.2, seed=0)[1])
    assert held != names(hold_out(split, 0.2, seed=1)[1])


def test_copies_of_an_image_stay_together(tmp_path: Path) -> None:
    split = split_of(tmp_path, [0] * 40, contents=[index // 4 for index in range(40)])
    _, val = hold_out(split, 0.2, seed=0)
    assert set(Counter(int(name[:3]) // 4 for name in names(val)).values()) == {4}


def test_images_without_class_labels_are_held_out_by_chance(tmp_path: Path) -> None:
    split = split_of(tmp_path, [0] * 20)
    masks = tuple(Sample(name=sample.name, image=sample.image, target=sample.image) for sample in split.samples)
    train, val = hold_out(Split(samples=masks, task="segment", classes=("x",)), 0.25, seed=0)
    assert (len(train), len(val)) == (15, 5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        hold_out(split_of(tmp_path, [0, 0]), share, seed=0)


def test_nothing_to_hold_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class of its 2 images has two that differ"):
        hold_out(split_of(tmp_path, [0, 1]), 0.5, seed=0)
