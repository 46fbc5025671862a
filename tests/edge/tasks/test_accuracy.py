"""Accuracy of an answer that is known."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.data.generated import generated_split
from edge.data.splits import Sample, Split
from edge.errors import UsageError
from edge.tasks.accuracy import accuracy
from edge.tasks.segment import NOT_SEEN

Pixels = NDArray[np.uint8]


def _split(*masks: Pixels) -> Split:
    def sample(index: int, mask: Pixels) -> Sample:
        return Sample(
            name=str(index), image=lambda: np.full((*mask.shape, 3), index, np.uint8), target=lambda: mask.copy()
        )

    samples = tuple(sample(index, mask) for index, mask in enumerate(masks))
    return Split(samples=samples, task="segment", classes=("a", "b", "c"), ignore_index=9)


def test_perfect_class_maps_score_one_and_absent_classes_none() -> None:
    masks = [np.array([[0, 1], [9, 1]], np.uint8), np.array([[1, 1, 0]], np.uint8)]
    split = _split(*masks)

    def predict(frames: list[Pixels]) -> list[NDArray[Any]]:
        return [np.where(masks[frame.flat[0]] == 9, 0, masks[frame.flat[0]]).astype(np.uint8) for frame in frames]

    counted: list[int] = []
    found = accuracy(split, predict, batch_size=1, advance=counted.append)
    assert found["miou"] == found["pixel_accuracy"] == 1.0
    assert found["boundary_miou"] == found["boundary_miou_coco"] == 1.0
    assert found["iou"] == found["boundary_iou"] == {"a": 1.0, "b": 1.0, "c": None}
    assert (found["images"], found["split_sha256"], counted) == (2, split.sha256, [1, 1])


def test_pixels_that_the_model_did_not_see_do_not_count() -> None:
    mask = np.array([[0, 1, 1, 2]], np.uint8)
    found = accuracy(_split(mask), lambda frames: [np.array([[0, 1, NOT_SEEN, 0]], np.uint8)])
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["iou"] == {"a": 0.5, "b": 1.0, "c": 0.0}


def test_classification_counts_first_and_first_five() -> None:
    split = generated_split("classify", "val", 30)
    labels = [split.label(index) for index in range(30)]
    asked = iter(labels)

    def predict(frames: list[Pixels]) -> list[NDArray[Any]]:
        return [np.roll(np.arange(8), next(asked)) for _ in frames]  # the true class is the last

    assert accuracy(split, predict, batch_size=7)["top5"] == 0.0
    asked = iter(labels)
    best = accuracy(split, lambda frames: [-np.roll(np.arange(8), next(asked)) for _ in frames])
    assert (best["top1"], best["top5"], best["images"]) == (1.0, 1.0, 30)


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="the model has 9 classes"):
        accuracy(generated_split("classify", "val", 2), lambda frames: [np.zeros(9) for _ in frames])


def test_a_split_without_labels_is_refused() -> None:
    sample = Sample(name="a", image=lambda: np.zeros((2, 2, 3), np.uint8), target=None)
    with pytest.raises(UsageError, match="no labels or masks"):
        accuracy(Split(samples=(sample,), task="images", origin="here"), lambda frames: [])
