"""Average precision is the area under precision's steps over recall, equal values together; unknown counts nowhere."""

import math

import numpy as np
import pytest

from edge.data.splits import UNKNOWN
from edge.errors import UsageError
from edge.evaluation.multi_label import MultiLabelMeter, average_precision, label_figures, mean_average_precision


def by_thresholds(values: np.ndarray, truth: np.ndarray) -> float:
    """The definition, one threshold after the other: scikit-learn's average_precision_score."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        found = values >= threshold
        hits = int((found & truth).sum())
        area += hits / int(found.sum()) * (hits / int(truth.sum()) - recall)
        recall = hits / int(truth.sum())
    return area


def test_average_precision_is_that_of_the_ranking_with_ties_together() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(np.array([4, 3, 2, 1], np.float32), truth) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.zeros(4, np.float32), truth) == 0.5
    assert average_precision(np.array([1, 4, np.nan, 3], np.float32), truth) == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_average_precision_equals_its_definition() -> None:
    random = np.random.default_rng(5)
    for levels in (3, 17, 1000):  # few levels: integers of an INT8 model tie
        values = random.integers(0, levels, 200).astype(np.float32)
        truth = random.random(200) < 0.3
        assert average_precision(values, truth) == pytest.approx(by_thresholds(values, truth), abs=1e-12)


def test_labels_are_counted_one_by_one_where_they_are_known() -> None:
    meter = MultiLabelMeter(3)
    meter.add(
        np.array([[0.0, -0.1, 0.2], [-1, 2, -1], [3, 1, 5]], np.float32),
        np.array([[1, 0, 0], [0, 1, 0], [0, UNKNOWN, UNKNOWN]], np.int8),
    )
    score = meter.score()
    assert (score.label_accuracy, score.images) == (5 / 7, 3)
    assert score.mean_average_precision == pytest.approx((1 / 2 + 1) / 2)  # label 2 occurs nowhere
    first, second, third = label_figures(score, ("a", "b", "c")).values()
    assert first == {"average_precision": 0.5, "accuracy": 2 / 3, "f1": 2 / 3, "positives": 1, "known": 3}
    assert second == {"average_precision": 1.0, "accuracy": 1.0, "f1": 1.0, "positives": 1, "known": 2}
    assert third == {"average_precision": None, "accuracy": 0.5, "f1": 0.0, "positives": 0, "known": 2}


def test_what_is_unknown_moves_no_figure() -> None:
    random = np.random.default_rng(6)
    values = random.normal(size=(50, 1)).astype(np.float32)
    truth = random.integers(0, 2, (50, 1)).astype(np.int8)
    masked = truth.copy()
    masked[::3] = UNKNOWN
    kept = masked[:, 0] != UNKNOWN
    assert mean_average_precision(values, masked) == mean_average_precision(values[kept], truth[kept])


def test_nothing_known_is_no_figure() -> None:
    meter = MultiLabelMeter(2)
    meter.add(np.ones((1, 2), np.float32), np.full((1, 2), UNKNOWN, np.int8))
    score = meter.score()
    assert math.isnan(score.mean_average_precision) and math.isnan(score.label_accuracy)


def test_truth_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match=r"must be \(n, 2\), found \(1, 2\), \(1, 3\)"):
        MultiLabelMeter(2).add(np.ones((1, 2), np.float32), np.zeros((1, 3), np.int8))
