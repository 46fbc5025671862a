"""Whether a model knows anything: intervals by their published formulas, and answers that look at no pixel."""

from functools import partial

import numpy as np
import pytest

from edge.artifact.verdict import verdict
from edge.data.splits import Sample, Split
from edge.evaluation.baseline import other_half_score
from edge.evaluation.chance import (
    chance_finding,
    chance_of,
    mean_average_precision_by_chance,
    mean_iou_lower,
    wilson_lower,
)
from edge.evaluation.multi_label import mean_average_precision


def split_of(labels: list[int], classes: int) -> Split:
    names = tuple(f"c{index}" for index in range(classes))
    blank = partial(np.zeros, (2, 2, 3), np.uint8)
    samples = tuple(Sample(name=str(place), image=blank, target=label) for place, label in enumerate(labels))
    return Split(samples=samples, task="classify", classes=names, origin="made")


def masks_of(masks: list[np.ndarray], classes: int) -> Split:
    blank = partial(np.zeros, (*masks[0].shape, 3), np.uint8)
    samples = tuple(
        Sample(name=str(place), image=blank, target=partial(np.array, mask)) for place, mask in enumerate(masks)
    )
    return Split(samples=samples, task="segment", classes=tuple(f"c{k}" for k in range(classes)), ignore_index=255)


@pytest.mark.parametrize(
    ("right", "count", "lower"), [(15, 44, 0.21876), (81, 263, 0.2553), (10, 10, 0.7225), (0, 5, 0.0)]
)
def test_the_lower_end_is_wilsons(right: int, count: int, lower: float) -> None:
    """81 of 263: Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    assert wilson_lower(right, count) == pytest.approx(lower, abs=5e-5)


def test_a_model_that_answers_the_commonest_class_does_not_ship() -> None:
    """15 of 44 images are dogs, and so many are right: that needs no pixel."""
    split = split_of([0] * 15 + [1] * 10 + [2] * 10 + [3] * 9, 4)
    chance = chance_of(split, 44, "top1")
    assert chance.value == 15 / 44
    dead = chance_finding("float parent", "top1", 15 / 44, wilson_lower(15, 44), chance, 44)
    assert dead.passed is False and "always 'c0' reaches 34.09%" in dead.detail
    assert not verdict([dead]).ship
    assert chance_finding("float parent", "top1", 24 / 44, wilson_lower(24, 44), chance, 44).passed


def test_too_few_images_show_nothing() -> None:
    """One right answer of one image, of which the class is then the commonest."""
    chance = chance_of(split_of([1], 4), 1, "top1")
    finding = chance_finding("float parent", "top1", 1.0, wilson_lower(1, 1), chance, 1)
    assert finding.passed is False and "1 images do not show" in finding.detail


def test_the_mean_mask_of_the_other_half_looks_at_no_pixel() -> None:
    """Masks that are all the same are told wholly by the others; one that is alone by its commonest class."""
    half = np.zeros((48, 64), np.uint8)
    half[:, 32:] = 1
    assert other_half_score(masks_of([half] * 3, 2)).mean_iou == 1.0
    three_quarters = np.zeros((48, 64), np.uint8)
    three_quarters[:, 48:] = 1
    assert other_half_score(masks_of([three_quarters], 2)).mean_iou == pytest.approx((0.75 + 0) / 2)
    assert other_half_score(masks_of([half, 1 - half], 2)).mean_iou == 0.0
    void = half.copy()
    void[:, 32:] = 255
    assert other_half_score(masks_of([void] * 2, 2)).iou[0] == 1.0


def test_neighbours_of_a_film_tell_nothing_about_each_other() -> None:
    """The first half is one scene, the second another."""
    scenes = masks_of([np.zeros((48, 64), np.uint8)] * 5 + [np.ones((48, 64), np.uint8)] * 5, 2)
    assert other_half_score(scenes).mean_iou == other_half_score(scenes, 2).mean_iou == 0.0


def test_the_lower_end_of_mean_iou_lies_below_it_and_nears_it() -> None:
    random = np.random.default_rng(0)
    union = np.full((400, 3), 1000, np.int64)
    right = random.integers(400, 800, (400, 3))
    value = float((right.sum(axis=0) / union.sum(axis=0)).mean())
    lower = mean_iou_lower(right, union)
    assert value - 0.02 < lower < value
    assert mean_iou_lower(right[:5], union[:5]) < lower
    assert mean_iou_lower(right, union) == lower


def test_an_order_by_chance_stays_below_chance() -> None:
    """In 39 of 40: here in 190 of 200 at least."""
    truth = np.eye(4, dtype=np.bool_)[np.arange(40) % 4]
    limit = mean_average_precision_by_chance(truth)
    random = np.random.default_rng(7)
    below = [mean_average_precision(random.random((40, 4), np.float32), truth) < limit for _ in range(200)]
    assert sum(below) >= 190 and 0.25 < limit < 0.5
