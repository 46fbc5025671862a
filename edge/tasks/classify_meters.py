"""Meters of classification, exclusive and independent: what only an evaluation needs, and no device."""

import math
from typing import Any

import numpy as np

from edge.data.splits import Split
from edge.errors import UsageError
from edge.evaluation.chance import wilson_lower
from edge.evaluation.classification import ClassificationMeter
from edge.evaluation.multi_label import MultiLabelMeter, label_figures
from edge.tasks.task import Array, Pixels


class ClassMeter:
    """Top-1, top-5 and balanced accuracy over class indices (`Split.label`)."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._counts = ClassificationMeter()

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one image's scores (classes,). Refuses (UsageError) other classes than the split's."""
        classes = len(self._split.classes)
        if len(values) != classes:
            raise UsageError(f"the model has {len(values)} classes, {self._split.origin} has {classes}")
        self._counts.add(values[None], np.array([self._split.label(index)]))

    def figures(self) -> dict[str, Any]:
        """`top1`, `top5`, `balanced_accuracy`, in [0, 1]."""
        score = self._counts.score()
        return {"top1": score.top1, "top5": score.top5, "balanced_accuracy": score.balanced}

    @property
    def value(self) -> float:
        """Top-1."""
        return self._counts.score().top1

    @property
    def lower(self) -> float:
        """Wilson's."""
        return wilson_lower(self._counts.first, self._counts.images)

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """None: classes exclude each other."""
        return {}


class LabelsMeter:
    """Mean average precision over independent labels (`Split.truth`); a class is the only label that holds."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._counts = MultiLabelMeter(len(split.classes))

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one image's values (labels,)."""
        self._counts.add(values[None], self._split.truth(index)[None])

    def figures(self) -> dict[str, Any]:
        """`mean_average_precision`, `label_accuracy`, and `labels` by name. Refuses (UsageError) images without any."""
        score = self._counts.score()
        if math.isnan(score.mean_average_precision):
            split = self._split
            raise UsageError(f"{split.origin}: none of its {len(split)} images has any label: no average precision")
        return {
            "mean_average_precision": score.mean_average_precision,
            "label_accuracy": score.label_accuracy,
            "labels": self.labels,
        }

    @property
    def value(self) -> float:
        """Mean average precision."""
        return self._counts.score().mean_average_precision

    @property
    def lower(self) -> float:
        """The value itself: here the interval is that of chance."""
        return self.value

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """See `label_figures`."""
        return label_figures(self._counts.score(), self._split.classes)
