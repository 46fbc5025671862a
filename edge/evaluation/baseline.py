"""What a model must beat: predictions that look at no pixel, and a linear model on pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.splits import Split
from edge.errors import UsageError
from edge.evaluation.segmentation import ConfusionMatrix, SegmentationScore

Pixels = NDArray[np.uint8]
MASK_CELLS = (96, 128)
MOST_MASKS = 100


@dataclass(frozen=True, kw_only=True)
class MajorityClass:
    """The commonest class (the lower index among equals) of one split, and how often another has it."""

    label: int
    top1: float


def majority_class(split: Split, test: Split | None = None) -> MajorityClass:
    """Always predict the commonest class of `split`: its top-1 on `test`, in [0, 1] (on `split` itself if None)."""
    counts = np.bincount([split.label(index) for index in range(len(split))], minlength=len(split.classes))
    label = int(counts.argmax())
    asked = split if test is None else test
    right = sum(asked.label(index) == label for index in range(len(asked)))
    return MajorityClass(label=label, top1=right / len(asked))


def mean_mask(split: Split, shape_hw: tuple[int, int] | None = None) -> Pixels:
    """The commonest class of every place, uint8 (h, w); the lower index among equals.

    Args:
        shape_hw: every mask is brought to this size at the nearest pixel; None: the first mask's.
    """
    height, width = shape_hw or split.mask(0).shape
    counts = np.zeros((len(split.classes), height, width), dtype=np.int32)
    for index in range(len(split)):
        mask = split.mask(index)
        if mask.shape != (height, width):
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))
        for class_index in np.unique(mask):
            if class_index != split.ignore_index:
                counts[class_index] += mask == class_index
    return np.asarray(counts.argmax(axis=0), dtype=np.uint8)


def mean_mask_score(split: Split, test: Split) -> SegmentationScore:
    """Always predict the mean mask of `split`: its score on `test`."""
    prediction = mean_mask(split)
    matrix = ConfusionMatrix(len(test.classes), test.ignore_index)
    for index in range(len(test)):
        truth = test.mask(index)
        height, width = truth.shape
        fitted = prediction
        if prediction.shape != truth.shape:
            fitted = np.asarray(cv2.resize(prediction, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))
        matrix.add(truth, fitted)
    return matrix.score()


def other_half_score(split: Split, count: int | None = None) -> SegmentationScore:
    """Answer each of the first `count` images (None: all) by the mean mask of the half of the split it is not in.

    It looks at no pixel of the image, and not at its neighbours, which in a film are nearly the same. At most
    MOST_MASKS masks of a half are read, evenly spread. The only image of a split is answered by its commonest class.
    """
    half = len(split) // 2
    asked = split if count is None else split.subset(range(count))
    if half == 0:
        return _scored(asked, [np.full((1, 1), _commonest(split), dtype=np.uint8)])
    means = [_mean_cells(split, range(half, len(split)))]
    if len(asked) > half:
        means.append(_mean_cells(split, range(half)))
    return _scored(asked, [means[index >= half] for index in range(len(asked))])


def _scored(asked: Split, predictions: Sequence[Pixels]) -> SegmentationScore:
    matrix = ConfusionMatrix(len(asked.classes), asked.ignore_index)
    for index, prediction in enumerate(predictions):
        truth = asked.mask(index)
        fitted = cv2.resize(prediction, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
        matrix.add(truth, np.asarray(fitted))
    return matrix.score()


def _commonest(split: Split) -> int:
    return int(np.bincount(split.mask(0).ravel(), minlength=len(split.classes))[: len(split.classes)].argmax())


def _mean_cells(split: Split, indices: range) -> Pixels:
    """The mean mask of some images, at MASK_CELLS."""
    chosen = sorted({indices[place * len(indices) // MOST_MASKS] for place in range(MOST_MASKS)})
    return mean_mask(split.subset(chosen), MASK_CELLS)


def linear_on_pixels(train: Split, test: Split, *, size: int = 16, penalty: float = 1.0) -> float:
    """Top-1, in [0, 1], of ridge regression from pixels to one-hot classes: the most that position and colour tell.

    Args:
        size: images are reduced to size x size (box average) and standardized per value.
        penalty: the ridge as a multiple of the mean variance, times the number of training images.
    """
    if penalty <= 0:
        raise UsageError(f"the ridge penalty must be positive, found {penalty}")
    inputs, labels = _small_images(train, size)
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    inputs = (inputs - mean) / deviation
    targets = np.eye(len(train.classes), dtype=np.float32)[labels]
    offset = targets.mean(axis=0)
    images, values = inputs.shape
    ridge = np.float32(penalty * images)
    if values <= images:
        gram = inputs.T @ inputs + ridge * np.eye(values, dtype=np.float32)
        weights = np.linalg.solve(gram, inputs.T @ (targets - offset))
    else:
        kernel = inputs @ inputs.T + ridge * np.eye(images, dtype=np.float32)
        weights = inputs.T @ np.linalg.solve(kernel, targets - offset)
    asked, truth = _small_images(test, size)
    predictions = ((asked - mean) / deviation) @ weights + offset
    return float((predictions.argmax(axis=1) == truth).mean())


def _small_images(split: Split, size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """float32 (n, size * size * 3) in [0, 1], and labels (n,)."""
    rows = np.empty((len(split), size * size * 3), dtype=np.float32)
    for index in range(len(split)):
        small = cv2.resize(split.image(index), (size, size), interpolation=cv2.INTER_AREA)
        rows[index] = small.reshape(-1) / np.float32(255)
    return rows, np.array([split.label(index) for index in range(len(split))], dtype=np.int64)
