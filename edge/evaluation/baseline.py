"""What a model must beat: answers that look at no pixel, and a linear model on pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.splits import Split
from edge.errors import UsageError
from edge.evaluation.segmentation import ConfusionMatrix, SegmentationScore

Pixels = NDArray[np.uint8]
MASK_CELLS = (96, 128)


@dataclass(frozen=True, kw_only=True)
class MajorityClass:
    """The commonest class (the lower index among equals) of one split, and how often another has it."""

    label: int
    top1: float


def majority_class(split: Split, test: Split | None = None) -> MajorityClass:
    """Always answer the commonest class of `split`: its top-1 on `test`, in [0, 1] (on `split` itself if None)."""
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
    """Always answer the mean mask of `split`: its score on `test`."""
    answer = mean_mask(split)
    matrix = ConfusionMatrix(len(test.classes), test.ignore_index)
    for index in range(len(test)):
        truth = test.mask(index)
        height, width = truth.shape
        fitted = answer
        if answer.shape != truth.shape:
            fitted = np.asarray(cv2.resize(answer, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))
        matrix.add(truth, fitted)
    return matrix.score()


def left_out_mask_score(split: Split) -> SegmentationScore:
    """Answer every image of a split by the mean mask of all others, a class per cell of MASK_CELLS; for a single image
    by its own commonest class. It looks at no pixel of the image.
    """
    small = [_cells(split.mask(index)) for index in range(len(split))]
    classes = len(split.classes)
    counts = np.zeros((classes, *MASK_CELLS), dtype=np.int32)
    for cells in small:
        _count(counts, cells, 1)
    everywhere = int(counts.sum(axis=(1, 2)).argmax())
    matrix = ConfusionMatrix(classes, split.ignore_index)
    for index, cells in enumerate(small):
        truth = split.mask(index)
        _count(counts, cells, -1)
        answer = np.where(counts.any(axis=0), counts.argmax(axis=0), everywhere).astype(np.uint8)
        _count(counts, cells, 1)
        fitted = cv2.resize(answer, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
        matrix.add(truth, np.asarray(fitted))
    return matrix.score()


def _cells(mask: Pixels) -> Pixels:
    wanted_wh = (MASK_CELLS[1], MASK_CELLS[0])
    return np.asarray(cv2.resize(mask, wanted_wh, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)


def _count(counts: NDArray[np.int32], cells: Pixels, times: int) -> None:
    for class_index in np.unique(cells):
        if class_index < len(counts):  # else it is the index of no class
            counts[class_index] += times * (cells == class_index)


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
    answers = ((asked - mean) / deviation) @ weights + offset
    return float((answers.argmax(axis=1) == truth).mean())


def _small_images(split: Split, size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """float32 (n, size * size * 3) in [0, 1], and labels (n,)."""
    rows = np.empty((len(split), size * size * 3), dtype=np.float32)
    for index in range(len(split)):
        small = cv2.resize(split.image(index), (size, size), interpolation=cv2.INTER_AREA)
        rows[index] = small.reshape(-1) / np.float32(255)
    return rows, np.array([split.label(index) for index in range(len(split))], dtype=np.int64)
