"""Trivial answers score what a hand count says."""

from functools import partial

import numpy as np
import pytest

from edge.data.splits import Sample, Split
from edge.errors import UsageError
from edge.evaluation.baseline import linear_on_pixels, majority_class, mean_mask, mean_mask_score


def flat(level: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), level, dtype=np.uint8)


def labelled(labels: list[int], levels: list[int] | None = None) -> Split:
    samples = tuple(
        Sample(name=str(index), image=partial(flat, level), target=label)
        for index, (label, level) in enumerate(zip(labels, levels or labels, strict=True))
    )
    return Split(samples=samples, task="classify", classes=("a", "b", "c"))


def masked(masks: list[np.ndarray], ignore_index: int | None = None) -> Split:
    samples = tuple(
        Sample(name=str(index), image=partial(flat, 0), target=partial(np.copy, mask))
        for index, mask in enumerate(masks)
    )
    return Split(samples=samples, task="segment", classes=("a", "b", "c"), ignore_index=ignore_index)


def test_majority_class_and_its_accuracy_elsewhere() -> None:
    found = majority_class(labelled([1, 2, 2, 0]), labelled([2, 0, 0]))
    assert (found.label, found.top1) == (2, pytest.approx(1 / 3))
    assert majority_class(labelled([1, 2])).label == 1


def test_mean_mask_is_the_vote_of_every_place_without_ignored_pixels() -> None:
    masks = [np.array([[0, 2], [9, 1]], dtype=np.uint8), np.array([[0, 2], [9, 1]], dtype=np.uint8)]
    masks.append(np.array([[1, 1], [2, 1]], dtype=np.uint8))
    assert mean_mask(masked(masks, ignore_index=9)).tolist() == [[0, 2], [2, 1]]


def test_mean_mask_of_one_mask_scores_one_on_it_at_any_size() -> None:
    mask = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    assert mean_mask_score(masked([mask]), masked([np.kron(mask, np.ones((3, 3), dtype=np.uint8))])).mean_iou == 1.0


def test_linear_model_learns_what_is_linear() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=60).tolist()
    levels = [60 + 100 * label + int(rng.integers(0, 30)) for label in labels]
    split = labelled(labels, levels)
    for size in (2, 8):
        assert linear_on_pixels(split, split, size=size) == 1.0
    with pytest.raises(UsageError, match="penalty must be positive"):
        linear_on_pixels(split, split, penalty=0)
