"""Boxes that two models say alike: one to one, of one class, and one too many costs what one too few does."""

import numpy as np

from edge.evaluation.box_likeness import alike_boxes

SQUARE = [0.0, 0.0, 10.0, 10.0]


def rows(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, np.float64).reshape(-1, 6)


def test_equal_boxes_are_alike_whatever_their_order_and_scores() -> None:
    first = rows((*SQUARE, 0.9, 1), (20, 20, 40, 30, 0.5, 0), (0, 50, 5, 60, 0.4, 0))
    second = first[::-1].copy()
    second[:, 4] = 0.3
    assert alike_boxes(first, second) == (3, 3)


def test_an_extra_box_and_a_missing_one_both_cost() -> None:
    one, two = rows((*SQUARE, 0.9, 0)), rows((*SQUARE, 0.9, 0), (30, 30, 40, 40, 0.9, 0))
    assert alike_boxes(one, two) == alike_boxes(two, one) == (1, 2)
    assert alike_boxes(one, rows((30, 30, 40, 40, 0.9, 0))) == (0, 2)


def test_another_class_is_another_thing() -> None:
    assert alike_boxes(rows((*SQUARE, 0.9, 0)), rows((*SQUARE, 0.9, 1))) == (0, 2)


def test_overlap_of_a_half_is_enough_and_less_is_not() -> None:
    first = rows((*SQUARE, 0.9, 0))
    assert alike_boxes(first, rows((0, 0, 10, 5, 0.9, 0))) == (1, 1)
    assert alike_boxes(first, rows((0, 0, 10, 4.9, 0.9, 0))) == (0, 2)
    assert alike_boxes(first, rows((0, 0, 10, 4.9, 0.9, 0)), overlap=0.49) == (1, 1)


def test_one_box_is_alike_to_one_only_and_the_nearest_pair_is_made_first() -> None:
    first = rows((*SQUARE, 0.9, 0))
    assert alike_boxes(first, rows((*SQUARE, 0.9, 0), (0, 0, 10, 9, 0.8, 0))) == (1, 2)
    # The first of `near` overlaps both; it must not take the one that only it could leave to the second.
    near = rows((0, 0, 10, 9, 0.9, 0), (0, 3, 10, 13, 0.1, 0))
    assert alike_boxes(rows((*SQUARE, 0.2, 0), (0, 3.5, 10, 13, 0.9, 0)), near) == (2, 2)


def test_no_boxes_are_nothing_to_be_alike() -> None:
    assert alike_boxes(rows(), rows()) == (0, 0)
    assert alike_boxes(rows(), rows((*SQUARE, 0.9, 0))) == alike_boxes(rows((*SQUARE, 0.9, 0)), rows()) == (0, 1)


def test_the_order_of_the_two_models_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        corners = rng.random((2, 12, 2)) * 20
        sides = 5 + rng.random((2, 12, 2)) * 10
        one, two = (
            np.concatenate([xy, xy + wh, rng.random((12, 1)), rng.integers(0, 2, (12, 1))], axis=1)
            for xy, wh in zip(corners, sides, strict=True)
        )
        alike, of = alike_boxes(one, two)
        assert alike_boxes(two, one) == (alike, of) and of == 24 - alike
