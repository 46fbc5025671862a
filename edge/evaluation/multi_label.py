"""Independent labels: mean average precision, and what is right of the yes-or-no decisions, label by label.

Truth is 1, 0 or `edge.data.splits.UNKNOWN`; what is unknown counts nowhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data.splits import UNKNOWN
from edge.errors import UsageError

Truths = NDArray[np.int8] | NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """One label. Shares in [0, 1]; nan where they are of nothing.

    Attributes:
        average_precision: of the ranking by the label's values; nan where no image has it.
        accuracy: of the images in which it is known, how many are decided rightly.
        f1: 2 TP / (2 TP + FP + FN).
        positives, known: images that have it, and those of which it is known.
    """

    average_precision: float
    accuracy: float
    f1: float
    positives: int
    known: int


@dataclass(frozen=True, kw_only=True)
class MultiLabelScore:
    """Shares in [0, 1]; nan where nothing was counted.

    Attributes:
        mean_average_precision: mean over the labels that some image has.
        label_accuracy: of all known labels of all images, how many are decided rightly.
        labels: by index.
    """

    mean_average_precision: float
    label_accuracy: float
    labels: tuple[LabelScore, ...]
    images: int


class MultiLabelMeter:
    """Keeps every image's values and truth: average precision is a property of the whole ranking."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._values: list[NDArray[np.float32]] = []
        self._truth: list[NDArray[np.int8]] = []

    def add(self, values: NDArray[np.floating], truth: NDArray[np.int8]) -> None:
        """Count a batch.

        Args:
            values: (n, classes); a label holds where its value is not negative (`ranked_values`).
            truth: int8 (n, classes).
        """
        if values.ndim != 2 or values.shape[1] != self.classes or truth.shape != values.shape:
            raise UsageError(f"values and truth must be (n, {self.classes}), found {values.shape}, {truth.shape}")
        self._values += list(values.astype(np.float32))
        self._truth += list(truth)

    @property
    def values(self) -> NDArray[np.float32]:
        """(images, classes) so far."""
        return np.array(self._values, np.float32).reshape(-1, self.classes)

    @property
    def truth(self) -> NDArray[np.int8]:
        """(images, classes) so far."""
        return np.array(self._truth, np.int8).reshape(-1, self.classes)

    def score(self) -> MultiLabelScore:
        """The figures so far."""
        values, truth = self.values, self.truth
        known = truth != UNKNOWN
        right = ((values >= 0) == (truth == 1))[known]
        return MultiLabelScore(
            mean_average_precision=mean_average_precision(values, truth),
            label_accuracy=float(right.mean()) if right.size else math.nan,
            labels=tuple(_label_score(values[:, k], truth[:, k]) for k in range(self.classes)),
            images=len(values),
        )


def _label_score(values: NDArray[np.float32], truth: NDArray[np.int8]) -> LabelScore:
    known = truth != UNKNOWN
    yes, holds = values[known] >= 0, truth[known] == 1
    positives, decided = int(holds.sum()), int(yes.sum())
    return LabelScore(
        average_precision=average_precision(values[known], holds) if positives else math.nan,
        accuracy=float((yes == holds).mean()) if known.any() else math.nan,
        f1=2 * int((yes & holds).sum()) / (positives + decided) if positives + decided else math.nan,
        positives=positives,
        known=int(known.sum()),
    )


def label_figures(score: MultiLabelScore, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Every label's figures by its name, as plain data: None for nan."""
    return {
        name: {
            "average_precision": _or_none(label.average_precision),
            "accuracy": _or_none(label.accuracy),
            "f1": _or_none(label.f1),
            "positives": label.positives,
            "known": label.known,
        }
        for name, label in zip(names, score.labels, strict=True)
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def mean_average_precision(values: NDArray[np.float32], truth: Truths) -> float:
    """Mean of `average_precision` over the labels that some image has; nan where none has any.

    Args:
        values, truth: (images, classes).
    """
    found = []
    for k in range(truth.shape[1]):
        known = truth[:, k] != UNKNOWN
        holds = truth[known, k] == 1
        if holds.any():
            found.append(average_precision(values[known, k], holds))
    return float(np.mean(found)) if found else math.nan


def average_precision(values: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Sum over the distinct values, largest first, of precision times the gain in recall: equal values fall together.

    (Not interpolated; scikit-learn's average_precision_score.) A value that is nan comes last.

    Args:
        values, truth: (images,), at least one of them true.
    """
    ranked = np.where(np.isnan(values), -np.inf, values)
    order = np.argsort(-ranked, kind="stable")
    ordered, right = ranked[order], np.cumsum(truth[order])
    last = np.append(ordered[1:] != ordered[:-1], True)  # the last of every group of equal values
    hits = right[last]
    precision = hits / (np.flatnonzero(last) + 1)
    gain = np.diff(hits, prepend=0) / right[-1]
    return float((precision * gain).sum())
