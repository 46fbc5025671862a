"""Top-k accuracy agrees with its definition, ties and damaged scores included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.evaluation.classification import ClassificationMeter, agreement, ranks


def test_closed_form() -> None:
    # The true class has rank 0, 1, ..., 9 once each.
    scores = np.tile(np.arange(10)[::-1], (10, 1))
    meter = ClassificationMeter()
    meter.add(scores, np.arange(10))
    assert (meter.score().top1, meter.score().top5, meter.score().images) == (0.1, 0.5, 10)


def test_balanced_accuracy_is_the_mean_over_the_classes_that_occur() -> None:
    meter = ClassificationMeter()
    meter.add(np.tile([1, 0, 0], (10, 1)), np.array([0] * 8 + [1] * 2))
    assert (meter.score().top1, meter.score().balanced) == (0.8, 0.5)


def test_lower_index_wins_a_tie() -> None:
    scores = np.array([[7, 7, 7]], dtype=np.int8)
    assert [int(ranks(scores, np.array([label]))[0]) for label in range(3)] == [0, 1, 2]


@given(st.integers(0, 10_000))
def test_rank_zero_is_argmax(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(-3, 4, size=(20, 6)).astype(np.int8), rng.integers(0, 6, size=20)
    assert np.array_equal(ranks(scores, labels) == 0, scores.argmax(axis=1) == labels)


@given(st.integers(0, 10_000))
def test_rank_is_the_place_in_a_stable_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 4, size=(20, 7)), rng.integers(0, 7, size=20)
    order = np.argsort(-scores, axis=1, kind="stable")
    assert np.array_equal(ranks(scores, labels), (order == labels[:, None]).argmax(axis=1))


def test_batches_add_up() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(30, 8)), rng.integers(0, 8, size=30)
    whole, parts = ClassificationMeter(), ClassificationMeter()
    whole.add(scores, labels)
    for start in range(0, 30, 7):
        parts.add(scores[start : start + 7], labels[start : start + 7])
    assert whole.score() == parts.score()


def test_nan_is_never_right() -> None:
    scores = np.full((1, 5), np.nan, dtype=np.float32)
    meter = ClassificationMeter()
    meter.add(scores, np.array([0]))
    assert meter.score().top1 == 0.0


def test_no_images_give_nan() -> None:
    assert np.isnan(ClassificationMeter().score().top1)


def test_wrong_shapes_and_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="scores must be"):
        ranks(np.zeros((2, 3)), np.zeros(3, dtype=np.int64))
    with pytest.raises(UsageError, match="outside 0 to 2"):
        ranks(np.zeros((1, 3)), np.array([3]))


def test_agreement_counts_equal_first_classes() -> None:
    one = np.array([[1, 2], [2, 1], [3, 3]])
    other = np.array([[0, 9], [0, 9], [9, 0]])
    assert agreement(one, other) == pytest.approx(2 / 3)
    with pytest.raises(UsageError, match="cannot compare"):
        agreement(one, other[:2])
