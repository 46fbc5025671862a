"""A head of independent labels in closed form: ridge regression on the features of a network that stays as it is.

Each label is regressed on 1 and 0 by itself, an unknown one standing at the mean of the known. Ridge and calibration
(logit = gain * score + offset, by label) come from cross-validation on the images given, so that a probability of 0.5
is where yes becomes as likely as no.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.data.splits import UNKNOWN
from edge.errors import EdgeError
from edge.evaluation.multi_label import mean_average_precision

Array = NDArray[np.float64]

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FOLDS = 5
SMALLEST_SPREAD = 1e-4  # of the features around their mean, as a share of its length: float32 rounds at 1e-7
STEADY = 0.01  # ridge on gain and offset: a label that the scores tell apart wholly gets a finite gain
NEWTON_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class LabelProbe:
    """A linear head, float64: weight (labels, features), bias (labels,), and what cross-validation said of it.

    Attributes:
        ridge: as chosen. mean_average_precision: of images judged by heads that did not see them; nan if none has any.
    """

    weight: Array
    bias: Array
    ridge: float
    mean_average_precision: float

    @property
    def told(self) -> str:
        """What cross-validation said, in words."""
        return f"mean_average_precision {self.mean_average_precision * 100:.2f} %"


def fit_label_probe(features: Array, truth: NDArray[np.int8]) -> LabelProbe:
    """The head with the smallest cross-validated binary cross entropy.

    Args:
        features: (images, features). truth: int8 (images, labels): 1, 0 or UNKNOWN.

    Raises:
        EdgeError: all features are the same.
    """
    centre = features.mean(axis=0)
    spread = float(np.sqrt(((features - centre) ** 2).sum(axis=1).mean()))
    if spread <= SMALLEST_SPREAD * float(np.linalg.norm(centre)):
        raise EdgeError(
            f"a linear probe has nothing to go by: the network's features of all {len(truth)} images are the same; "
            "start from weights that were trained, or omit them"
        )
    images = np.hstack([(features - centre) / spread, np.ones((len(features), 1))])
    fold = _folds(truth)
    best: tuple[float, float, Array, Array] | None = None
    for ridge in RIDGES:
        scores = np.zeros(truth.shape)
        for held_out in (fold == part for part in range(FOLDS)):
            if held_out.any() and not held_out.all():
                scores[held_out] = images[held_out] @ _ridge_head(images[~held_out], truth[~held_out], ridge)
        lines = np.array([_calibrated(scores[:, k], truth[:, k]) for k in range(truth.shape[1])])
        entropy = _cross_entropy(scores * lines[:, 0] + lines[:, 1], truth)
        if best is None or entropy < best[0]:
            best = (entropy, ridge, lines, scores)
    assert best is not None  # there are ridges
    _, ridge, lines, scores = best
    head = _ridge_head(images, truth, ridge) * lines[:, 0]
    weight = head[:-1].T / spread
    found = mean_average_precision(scores.astype(np.float32), truth)
    return LabelProbe(
        weight=weight, bias=head[-1] + lines[:, 1] - weight @ centre, ridge=ridge, mean_average_precision=found
    )


def _ridge_head(images: Array, truth: NDArray[np.int8], ridge: float) -> Array:
    """(features + 1, labels), by whichever of the two normal equations is the smaller."""
    known = truth != UNKNOWN
    means = ((truth == 1).sum(axis=0) + 0.5) / (known.sum(axis=0) + 1)
    wanted = np.where(known, truth, means)
    if len(images) < images.shape[1]:
        products = images @ images.T + ridge * np.eye(len(images))
        return np.asarray(images.T @ np.linalg.solve(products, wanted))
    products = images.T @ images + ridge * np.eye(images.shape[1])
    return np.asarray(np.linalg.solve(products, images.T @ wanted))


def _calibrated(scores: Array, truth: NDArray[np.int8]) -> tuple[float, float]:
    """Gain and offset of logit = gain * score + offset: logistic regression by Newton's steps."""
    known = truth != UNKNOWN
    x = np.stack([scores[known], np.ones(int(known.sum()))], axis=1)
    holds = (truth[known] == 1).astype(np.float64)
    line = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(x @ line, -60, 60)))
        slope = x.T @ (likely - holds) + STEADY * line
        curve = (x * (likely * (1 - likely))[:, None]).T @ x + STEADY * np.eye(2)
        step = np.linalg.solve(curve, slope)
        line = line - step
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(line[0]), float(line[1])


def _cross_entropy(logits: Array, truth: NDArray[np.int8]) -> float:
    known = truth != UNKNOWN
    signed = np.where(truth == 1, logits, -logits)[known]
    return float(np.logaddexp(0, -signed).mean()) if signed.size else 0.0


def _folds(truth: NDArray[np.int8]) -> NDArray[np.int64]:
    """The fold of every image: those of a label's images that stand behind each other go to different ones."""
    rarest_first = np.argsort((truth == 1).sum(axis=0), kind="stable")
    own = np.argmax(truth[:, rarest_first] == 1, axis=1)
    folds = np.empty(len(truth), dtype=np.int64)
    folds[np.argsort(own, kind="stable")] = np.arange(len(truth)) % FOLDS
    return folds
