"""Overlaps of boxes against closed values and against counted pixels."""

import numpy as np

from edge.vision.box_overlaps import box_areas, box_overlaps


def test_half_shifted_squares_overlap_by_a_third() -> None:
    square, shifted = np.array([[0, 0, 2, 2]], np.float32), np.array([[1, 0, 3, 2], [5, 5, 6, 6]], np.float32)
    assert np.array_equal(box_overlaps(square, shifted), [[1 / 3, 0.0]])


def test_a_crowd_is_measured_against_the_box_alone() -> None:
    box, crowd = np.array([[1, 1, 2, 2]], np.float32), np.array([[0, 0, 4, 4], [0, 0, 4, 4]], np.float32)
    assert np.array_equal(box_overlaps(box, crowd, np.array([True, False])), [[1.0, 1 / 16]])


def test_empty_boxes_overlap_nothing_and_none_is_no_error() -> None:
    empty = np.array([[1, 1, 1, 1]], np.float32)
    assert box_overlaps(empty, empty) == 0
    assert box_overlaps(np.empty((0, 4), np.float32), empty).shape == (0, 1)
    assert box_overlaps(empty, np.empty((0, 4), np.float32)).shape == (1, 0)


def test_whole_boxes_equal_counted_pixels() -> None:
    corners = np.random.default_rng(0).integers(0, 12, (40, 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1).astype(np.float32)
    masks = np.zeros((len(boxes), 13, 13), np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    flat = masks.reshape(len(boxes), -1).astype(int)
    assert np.array_equal(box_areas(boxes), flat.sum(axis=1))
    together = flat @ flat.T
    counted = together / (flat.sum(axis=1)[:, None] + flat.sum(axis=1)[None] - together)
    assert np.array_equal(box_overlaps(boxes, boxes), counted)
