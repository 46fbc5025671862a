"""Answers that look at no pixel: boxes where other images have theirs."""

from functools import partial

import numpy as np
import pytest

from edge.data.boxes import Box, BoxTarget
from edge.data.splits import Sample, Split
from edge.evaluation.box_baseline import common_boxes, other_half_precision
from edge.evaluation.chance import chance_of


def split_of(images: list[tuple[tuple[int, int], list[Box]]]) -> Split:
    samples = tuple(
        Sample(name=str(k), image=partial(np.zeros, (*size, 3), np.uint8), target=BoxTarget(tuple(boxes)))
        for k, (size, boxes) in enumerate(images)
    )
    return Split(samples=samples, task="detect", classes=("a", "b"))


def test_boxes_that_are_always_at_one_place_need_no_pixel_whatever_the_size_of_the_image() -> None:
    split = split_of(
        [
            ((90 * k, 120 * k), [Box(30 * k, 30 * k, 60 * k, 60 * k, 0), Box(0, 0, 9 * k, 9 * k, 1)])
            for k in (1, 2, 3, 4)
        ]
    )
    assert other_half_precision(split, 4) == pytest.approx(1.0)
    assert chance_of(split, 4, "map").value == pytest.approx(1.0)


def test_places_of_the_image_itself_are_not_known() -> None:
    """Every image has its box where no other has one: what is said is never right."""
    split = split_of([((100, 100), [Box(20 * k, 0, 20 * k + 15, 15, 0)]) for k in range(4)])
    assert other_half_precision(split, 4) == 0.0
    assert other_half_precision(split_of([((50, 50), [Box(0, 0, 9, 9, 0)])]), 1) == 0.0
    assert other_half_precision(split_of([((50, 50), []), ((50, 50), [])]), 2) == 0.0


def test_the_commonest_place_comes_first_and_one_place_once() -> None:
    often, rare = Box(10, 10, 30, 30, 0), Box(60, 60, 90, 90, 0)
    ignored = Box(0, 50, 9, 99, 1, ignored=True)
    split = split_of([((100, 100), [often, ignored]), ((100, 100), [often._replace(x1=31), rare]), ((100, 100), [])])
    found = common_boxes(split, [0, 1, 2])
    assert np.allclose(found, [[0.1, 0.1, 0.3, 0.3, 2 / 3, 0], [0.6, 0.6, 0.9, 0.9, 1 / 3, 0]])
