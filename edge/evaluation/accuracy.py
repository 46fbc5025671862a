"""Accuracy of anything that predicts frames, on a split with labels or masks."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data.splits import Split
from edge.errors import UsageError
from edge.evaluation.classification import ClassificationMeter
from edge.evaluation.multi_label import MultiLabelMeter, label_figures
from edge.evaluation.segmentation import ConfusionMatrix

Pixels = NDArray[np.uint8]
Predict = Callable[[list[Pixels]], list[NDArray[Any]]]
Advance = Callable[[int], None]
NOT_SEEN = 255


def no_progress(count: int) -> None:
    """Tell nobody."""


def accuracy(
    split: Split,
    predict: Predict,
    *,
    batch_size: int = 1,
    independent: bool = False,
    advance: Advance = no_progress,
) -> dict[str, Any]:
    """Ask for a prediction of every image of a split and score it.

    Args:
        predict: from RGB uint8 frames (h, w, 3) of any sizes to class scores (classes,) of any real dtype (an
            artifact's `ranked_values`), or to class maps uint8 (h, w) of the frames' sizes, 255 where the model saw
            nothing (those pixels do not count).
        batch_size: frames per question.
        independent: the scores are of independent labels; the class of an image is then the only one that it has.
        advance: called with the number of images done since the last call.

    Returns:
        Classification: `top1`, `top5`, `balanced_accuracy` in [0, 1]; of independent labels `mean_average_precision`,
        `label_accuracy` and `labels` by name (see `label_figures`).
        Segmentation: `miou` and `pixel_accuracy` in [0, 1], and `iou` by class name (None where a class
        occurs neither in truth nor prediction). All: `images`, `skipped_damaged` (how many were
        omitted), `split_sha256`.

    Raises:
        UsageError: the split has no labels or masks. DataError: its labels are independent, and the scores are not.
    """
    if split.task not in SCORERS:
        raise UsageError(f"{split.origin}: has no labels or masks to evaluate on; give --labels or --masks")
    scorer = _labels if independent and split.task == "classify" else SCORERS[split.task]
    metrics = scorer(split, predict, batch_size, advance)
    counts = {"images": len(split), "skipped_damaged": split.skipped_damaged}
    return {**metrics, **counts, "split_sha256": split.sha256}


def _classify(split: Split, predict: Predict, batch_size: int, advance: Advance) -> dict[str, Any]:
    meter = ClassificationMeter()
    for indices in _groups(split, batch_size):
        scores = np.stack(predict([split.image(index) for index in indices]))
        if scores.shape[1] != len(split.classes):
            raise UsageError(f"the model has {scores.shape[1]} classes, {split.origin} has {len(split.classes)}")
        meter.add(scores, np.array([split.label(index) for index in indices]))
        advance(len(indices))
    score = meter.score()
    return {"top1": score.top1, "top5": score.top5, "balanced_accuracy": score.balanced}


def _labels(split: Split, predict: Predict, batch_size: int, advance: Advance) -> dict[str, Any]:
    meter = MultiLabelMeter(len(split.classes))
    for indices in _groups(split, batch_size):
        values = np.stack(predict([split.image(index) for index in indices]))
        meter.add(values, np.stack([split.truth(index) for index in indices]))
        advance(len(indices))
    score = meter.score()
    if math.isnan(score.mean_average_precision):
        raise UsageError(f"{split.origin}: none of its {len(split)} images has any label: no average precision")
    return {
        "mean_average_precision": score.mean_average_precision,
        "label_accuracy": score.label_accuracy,
        "labels": label_figures(score, split.classes),
    }


def _segment(split: Split, predict: Predict, batch_size: int, advance: Advance) -> dict[str, Any]:
    matrix = ConfusionMatrix(len(split.classes), NOT_SEEN)
    for indices in _groups(split, batch_size):
        images = [split.image(index) for index in indices]
        truths = [split.mask(index, image) for index, image in zip(indices, images, strict=True)]
        for truth, found in zip(truths, predict(images), strict=True):
            unknown = found == NOT_SEEN
            if split.ignore_index is not None:
                unknown |= truth == split.ignore_index
            matrix.add(np.where(unknown, np.uint8(NOT_SEEN), truth), found)
        advance(len(indices))
    score = matrix.score()
    shares = zip(split.classes, score.iou, strict=True)
    return {
        "miou": score.mean_iou,
        "pixel_accuracy": score.pixel_accuracy,
        "iou": {name: None if np.isnan(value) else float(value) for name, value in shares},
    }


SCORERS: dict[str, Callable[[Split, Predict, int, Advance], dict[str, Any]]] = {
    "classify": _classify,
    "segment": _segment,
}


def _groups(split: Split, size: int) -> list[range]:
    return [range(start, min(start + size, len(split))) for start in range(0, len(split), size)]
