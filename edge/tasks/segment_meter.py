"""The meter of segmentation: what only an evaluation needs, and no device."""

from typing import Any

import numpy as np

from edge.data.splits import Split
from edge.evaluation.chance import mean_iou_lower
from edge.evaluation.segmentation import ConfusionMatrix
from edge.tasks.segment import NOT_SEEN
from edge.tasks.task import Array, Pixels


class MapMeter:
    """Mean IoU over masks (`Split.mask`); pixels that are void, or that the model did not see, do not count."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._matrix = ConfusionMatrix(len(split.classes), NOT_SEEN)
        self._right: list[Array] = []
        self._union: list[Array] = []

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one class map of the mask's size."""
        truth = self._split.mask(index, self._split.image(index) if image is None else image)
        unknown = values == NOT_SEEN
        if self._split.ignore_index is not None:
            unknown |= truth == self._split.ignore_index
        one = ConfusionMatrix(self._matrix.classes, NOT_SEEN)
        one.add(np.where(unknown, np.uint8(NOT_SEEN), truth), values)
        right = np.diagonal(one.counts)
        self._right.append(right)
        self._union.append(one.counts.sum(axis=0) + one.counts.sum(axis=1) - right)
        self._matrix.counts += one.counts

    def figures(self) -> dict[str, Any]:
        """`miou`, `pixel_accuracy` in [0, 1]; `iou` by class name, None where neither truth nor prediction has it."""
        score = self._matrix.score()
        shares = zip(self._split.classes, score.iou, strict=True)
        return {
            "miou": score.mean_iou,
            "pixel_accuracy": score.pixel_accuracy,
            "iou": {name: None if np.isnan(value) else float(value) for name, value in shares},
        }

    @property
    def value(self) -> float:
        """Mean IoU."""
        return self._matrix.score().mean_iou

    @property
    def lower(self) -> float:
        """By drawing images again; 0 without any."""
        return mean_iou_lower(np.array(self._right), np.array(self._union)) if self._right else 0.0

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """None: a pixel has one class."""
        return {}
