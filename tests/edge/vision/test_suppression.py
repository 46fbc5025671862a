"""Suppression against its definition, one pair after the other."""

import numpy as np
import pytest

from edge.vision.suppression import suppressed


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def by_definition(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray | None, least: float) -> list[int]:
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        rivals = [other for other in kept if labels is None or labels[other] == labels[index]]
        if all(overlap(boxes[index].astype(float), boxes[other].astype(float)) <= least for other in rivals):
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("aware", [True, False])
def test_it_is_the_definition(seed: int, aware: bool) -> None:
    """Boxes also beyond the image on every side: labels that OpenCV moves apart must not meet there."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 80))
    centres, sides = rng.uniform(-0.6, 1.6, (count, 2)), rng.uniform(0.1, 1.2, (count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)
    scores = rng.integers(1, 12, count).astype(np.float32) / 12  # equal ones among them
    labels = rng.integers(0, 3, count) if aware else None
    for least in (0.2, 0.6):
        assert suppressed(boxes, scores, labels, least).tolist() == by_definition(boxes, scores, labels, least)


def test_a_class_does_not_suppress_another_at_the_same_place() -> None:
    boxes = np.array([[0.1, 0.1, 0.4, 0.4]] * 3, np.float32)
    scores, labels = np.array([0.5, 0.9, 0.7], np.float32), np.array([0, 1, 1])
    assert suppressed(boxes, scores, labels, 0.5).tolist() == [1, 0]
    assert suppressed(boxes, scores, None, 0.5).tolist() == [1]


def test_a_box_without_bounds_does_not_blur_the_others() -> None:
    """Labels are parted by the largest coordinate: at 1e30 all boxes of a label would be at one place."""
    boxes = np.array([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9], [-1e30, -1e30, 1e30, np.inf]], np.float32)
    scores, labels = np.array([0.9, 0.8, 0.7], np.float32), np.array([80, 80, 80])
    assert suppressed(boxes, scores, labels, 0.5).tolist() == [0, 1, 2]


def test_a_box_without_area_takes_no_other_with_it() -> None:
    """Two boxes without area, one that ends before it begins, one beyond float32: none meets another, all stay."""
    boxes = np.array(
        [
            [0.6, 0.1, 0.4, 0.9],
            [0.1, 0.1, 0.2, 0.2],
            [0.5, 0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5, 0.5],
            [-1e30, 0, 1e30, 1e30],
        ],
        np.float32,
    )
    boxes = np.concatenate([boxes, boxes[1:2]])
    scores = np.array([0.9, 0.8, 0.7, 0.7, 0.85, 0.75], np.float32)
    for labels in (None, np.zeros(6, np.int64)):
        assert suppressed(boxes, scores, labels, 0.5).tolist() == [0, 4, 1, 2, 3]
    assert suppressed(boxes[[0, 2]], scores[[0, 2]], None, 0.5).tolist() == [0, 1]


def test_nothing_stays_of_nothing() -> None:
    empty = suppressed(np.empty((0, 4), np.float32), np.empty(0, np.float32), None, 0.5)
    assert empty.shape == (0,) and empty.dtype == np.int64
