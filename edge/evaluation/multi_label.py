"""Independent labels: mean average precision, and the share of the yes-or-no decisions that are right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class MultiLabelScore:
    """Shares in [0, 1]; nan where nothing was counted.

    Attributes:
        mean_average_precision: mean over the labels that some image has.
        label_accuracy: of all images and labels, how many are decided rightly.
    """

    mean_average_precision: float
    label_accuracy: float
    images: int


class MultiLabelMeter:
    """Keeps every image's values and truth: average precision is a property of the whole ranking."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._values: list[NDArray[np.float32]] = []
        self._labels: list[int] = []

    def add(self, values: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
        """Count a batch.

        Args:
            values: (n, classes); a label holds where its value is not negative (`ranked_values`).
            labels: (n,): the one label that each image has; the others it has not.
        """
        if values.ndim != 2 or values.shape[1] != self.classes or labels.shape != (len(values),):
            raise UsageError(
                f"values must be (n, {self.classes}) and labels (n,), found {values.shape}, {labels.shape}"
            )
        if labels.size and not (int(labels.min()) >= 0 and int(labels.max()) < self.classes):
            raise UsageError(f"a label is outside 0 to {self.classes - 1}: {int(labels.min())}..{int(labels.max())}")
        self._values += list(values.astype(np.float32))
        self._labels += [int(label) for label in labels]

    @property
    def values(self) -> NDArray[np.float32]:
        """(images, classes) so far."""
        return np.array(self._values, np.float32).reshape(-1, self.classes)

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(images, classes): which label each image has."""
        return np.asarray(np.eye(self.classes, dtype=np.bool_)[self._labels]).reshape(-1, self.classes)

    def score(self) -> MultiLabelScore:
        """The figures so far."""
        values, truth = self.values, self.truth
        right = float(((values >= 0) == truth).mean()) if len(values) else float("nan")
        return MultiLabelScore(
            mean_average_precision=mean_average_precision(values, truth), label_accuracy=right, images=len(values)
        )


def mean_average_precision(values: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Mean of `average_precision` over the labels that some image has; nan where none has any.

    Args:
        values, truth: (images, classes).
    """
    found = [average_precision(values[:, k], truth[:, k]) for k in range(truth.shape[1]) if truth[:, k].any()]
    return float(np.mean(found)) if found else float("nan")


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
