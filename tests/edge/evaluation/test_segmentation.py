"""Intersection over union agrees with closed forms; classes that do not occur are omitted from the mean."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.evaluation.segmentation import ConfusionMatrix


def test_shifted_half_has_iou_one_third() -> None:
    # Truth: left half; prediction: the same band moved by half its width: intersection 1/4, union 3/4 of the picture.
    truth = np.zeros((8, 8), dtype=np.uint8)
    truth[:, :4] = 1
    matrix = ConfusionMatrix(2)
    matrix.add(truth, np.roll(truth, 2, axis=1))
    score = matrix.score()
    assert score.iou.tolist() == [pytest.approx(1 / 3), pytest.approx(1 / 3)]
    assert (score.mean_iou, score.pixel_accuracy, score.pixels) == (pytest.approx(1 / 3), 0.5, 64)


def test_all_wrong_is_zero_and_all_right_is_one() -> None:
    truth = np.array([[0, 1]])
    wrong, right = ConfusionMatrix(2), ConfusionMatrix(2)
    wrong.add(truth, 1 - truth)
    right.add(truth, truth)
    assert wrong.score().mean_iou == 0.0
    assert right.score().mean_iou == 1.0


def test_absent_class_is_nan_and_not_in_the_mean() -> None:
    matrix = ConfusionMatrix(3)
    matrix.add(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
    score = matrix.score()
    assert math.isnan(score.iou[2])
    assert score.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_class_only_predicted_counts_as_zero() -> None:
    matrix = ConfusionMatrix(3)
    matrix.add(np.array([0, 0]), np.array([0, 2]))
    assert matrix.score().iou.tolist()[2] == 0.0


def test_ignored_pixels_are_left_out_whatever_the_prediction() -> None:
    matrix = ConfusionMatrix(2, ignore_index=255)
    matrix.add(np.array([0, 1, 255, 255]), np.array([0, 1, 0, 77]))
    assert matrix.score().mean_iou == 1.0
    assert matrix.score().pixels == 2


def test_ignore_index_inside_uint8_range_next_to_the_classes() -> None:
    matrix = ConfusionMatrix(11, ignore_index=11)
    matrix.add(np.array([10, 11], dtype=np.uint8), np.array([10, 3], dtype=np.int32))
    assert matrix.score().pixels == 1


def test_nothing_labelled_is_nan() -> None:
    score = ConfusionMatrix(2).score()
    assert math.isnan(score.mean_iou)
    assert math.isnan(score.pixel_accuracy)


@given(st.integers(0, 10_000))
def test_images_pool_like_one_large_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 5, size=(2, 3, 7, 9))
    one, many = ConfusionMatrix(5, ignore_index=4), ConfusionMatrix(5, ignore_index=4)
    one.add(truth, predicted)
    for index in range(3):
        many.add(truth[index], predicted[index])
    assert np.array_equal(one.counts, many.counts)
    by_hand = [
        np.logical_and(truth == k, predicted == k).sum()
        / max(1, (np.logical_or(truth == k, predicted == k) & (truth != 4)).sum())
        for k in range(4)
    ]
    assert np.allclose(one.score().iou[:4], by_hand)


def test_values_that_are_no_class_and_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="prediction has a value outside 0 to 1"):
        ConfusionMatrix(2).add(np.array([0]), np.array([2]))
    with pytest.raises(UsageError, match="truth has a value outside 0 to 1"):
        ConfusionMatrix(2).add(np.array([255], dtype=np.uint8), np.array([0]))
    with pytest.raises(UsageError, match="they must be equal"):
        ConfusionMatrix(2).add(np.zeros((2, 2), dtype=np.int64), np.zeros((2, 3), dtype=np.int64))
