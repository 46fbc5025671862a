"""Mean intersection over union, per class and in the mean, from a confusion matrix that grows image by image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SegmentationScore:
    """What a confusion matrix says.

    Attributes:
        mean_iou: mean over the classes that occur in truth or prediction; nan when none does.
        iou: float64 (classes,), nan for a class that occurs in neither.
        pixel_accuracy: share of labelled pixels that are right; nan without labelled pixels.
        pixels: labelled pixels counted.
    """

    mean_iou: float
    iou: NDArray[np.float64]
    pixel_accuracy: float
    pixels: int


class ConfusionMatrix:
    """Pixel counts by (true class, predicted class), added to with each image.

    Pixels whose truth is `ignore_index` are omitted. A prediction must be a class everywhere else.
    """

    def __init__(self, classes: int, ignore_index: int | None = None) -> None:
        self.classes = classes
        self.ignore_index = ignore_index
        self.counts: NDArray[np.int64] = np.zeros((classes, classes), dtype=np.int64)

    def add(self, truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Count one image or batch.

        Args:
            truth, predicted: integer arrays of the same shape, values in [0, classes); truth also `ignore_index`.
        """
        if truth.shape != predicted.shape:
            raise UsageError(f"truth has shape {truth.shape}, prediction {predicted.shape}; they must be equal")
        true_class, predicted_class = truth.ravel(), predicted.ravel()
        if self.ignore_index is not None:
            labelled = true_class != self.ignore_index
            true_class, predicted_class = true_class[labelled], predicted_class[labelled]
        for what, values in (("truth", true_class), ("prediction", predicted_class)):
            if values.size and (int(values.min()) < 0 or int(values.max()) >= self.classes):
                raise UsageError(f"{what} has a value outside 0 to {self.classes - 1}: {values.min()}..{values.max()}")
        pairs = true_class.astype(np.int64) * self.classes + predicted_class
        self.counts += np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def score(self) -> SegmentationScore:
        """Intersection over union per class: right / (true + predicted - right), all images pooled (PASCAL VOC)."""
        right = np.diagonal(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - right
        occurs = union > 0
        iou = np.full(self.classes, np.nan)
        iou[occurs] = right[occurs] / union[occurs]
        pixels = int(self.counts.sum())
        return SegmentationScore(
            mean_iou=float(iou[occurs].mean()) if occurs.any() else float("nan"),
            iou=iou,
            pixel_accuracy=int(right.sum()) / pixels if pixels else float("nan"),
            pixels=pixels,
        )
