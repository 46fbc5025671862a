"""Top-1, top-5 and balanced accuracy, counted batch by batch."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Scores = NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class ClassificationScore:
    """Shares in [0, 1] of `images` images; nan when there were none. top5 is top-k with k = min(5, classes).

    `balanced` is the mean of the classes' own top-1, of those that occur: of unequal classes each counts the same.
    """

    top1: float
    top5: float
    balanced: float
    images: int


def ranks(scores: Scores, labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many classes are ahead of the true one; among equal scores the lower index is ahead.

    Args:
        scores: (n, classes) of any real dtype: logits, probabilities or their integers.
        labels: integers (n,) in [0, classes).

    Returns:
        int64 (n,): 0 where the true class comes first. A true class scored nan comes last.
    """
    if scores.ndim != 2 or labels.shape != (scores.shape[0],):
        raise UsageError(f"scores must be (n, classes) and labels (n,), found {scores.shape} and {labels.shape}")
    classes = scores.shape[1]
    if labels.size and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise UsageError(f"a label is outside 0 to {classes - 1}: {int(labels.min())}..{int(labels.max())}")
    true = np.take_along_axis(scores, labels[:, None], axis=1)  # (n, 1)
    # Written as `not behind`, so that a nan counts as ahead of everything and is never a prediction that is right.
    ahead = ~(scores <= true)
    tied_before = (scores == true) & (np.arange(classes)[None] < labels[:, None])
    ahead[np.arange(len(labels)), labels] = False
    found = (ahead | tied_before).sum(axis=1).astype(np.int64)
    found[(true != true)[:, 0]] = classes - 1  # nan is the only value that differs from itself
    return np.asarray(found, dtype=np.int64)


class ClassificationMeter:
    """Counts right predictions over batches."""

    def __init__(self) -> None:
        self.images = 0
        self.first = 0
        self.in_five = 0
        self.by_class: Counter[int] = Counter()
        self.right_by_class: Counter[int] = Counter()

    def add(self, scores: Scores, labels: NDArray[np.integer]) -> None:
        """Count a batch; see `ranks` for shapes and ties."""
        rank = ranks(scores, labels)
        self.images += len(rank)
        self.first += int((rank < 1).sum())
        self.in_five += int((rank < 5).sum())
        self.by_class.update(labels.tolist())
        self.right_by_class.update(labels[rank < 1].tolist())

    def score(self) -> ClassificationScore:
        """The shares so far."""
        if not self.images:
            return ClassificationScore(top1=float("nan"), top5=float("nan"), balanced=float("nan"), images=0)
        shares = [self.right_by_class[label] / count for label, count in self.by_class.items()]
        return ClassificationScore(
            top1=self.first / self.images,
            top5=self.in_five / self.images,
            balanced=sum(shares) / len(shares),
            images=self.images,
        )


def agreement(scores: Scores, others: Scores) -> float:
    """Share of rows of two (n, classes) arrays with the same first class (lower index among equals); nan for none."""
    if scores.shape != others.shape:
        raise UsageError(f"cannot compare scores of shape {scores.shape} with {others.shape}")
    if not len(scores):
        return float("nan")
    return float((scores.argmax(axis=1) == others.argmax(axis=1)).mean())
