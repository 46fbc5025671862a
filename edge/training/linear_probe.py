"""A classifier's head in closed form: ridge regression on the features of a network that stays as it is.

Where the features come with the classifier that the network was pretrained with, its rows are used as further examples:
a row points to where the images of its class lie, and which of our classes it belongs to is told by the images of ours
that it answers to and by the rows that it resembles. So a breed that no image shows still counts as a dog. How much the
rows weigh, how strong the ridge is, and the scale of the logits are chosen by cross-validation on the images given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge.errors import EdgeError

Array = NDArray[np.float64]

RIDGES = (0.01, 0.1, 1.0)
ROW_SHARES = (0.0, 0.3, 1.0)  # weight of all rows together: what is only inferred never outweighs the images
ALIKE = 0.15  # cosine between two rows at which their say in each other's class falls by 1 / e
SCALES = tuple(float(scale) for scale in np.geomspace(0.5, 64.0, 29))
FOLDS = 5
SMALLEST_SPREAD = 1e-4  # of the features around their mean, as a share of its length: float32 rounds at 1e-7


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """The classifier that the features were trained with: float64 weight (rows, features), bias (rows,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A linear head, float64: weight (classes, features), bias (classes,), and what cross-validation said of it.

    Attributes:
        ridge, row_share: as chosen. accuracy: of the images, each judged by a head that did not see it, in [0, 1].
    """

    weight: Array
    bias: Array
    ridge: float
    row_share: float
    accuracy: float

    @property
    def told(self) -> str:
        """What cross-validation said, in words."""
        return f"top1 {self.accuracy * 100:.2f} %"


def fit_probe(
    features: Array,
    labels: Sequence[int],
    classes: int,
    *,
    pretrained: Pretrained | None = None,
    ridges: Sequence[float] = RIDGES,
    row_shares: Sequence[float] = ROW_SHARES,
) -> Probe:
    """The head with the best cross-validated accuracy, among equal ones the smallest cross entropy.

    A class of n images weighs as sqrt(n) does.

    Args:
        features: (images, features). labels: of each image, 0 to classes - 1; a class may have none.
        ridges: the added squares are this times the mean square of a feature vector.
        row_shares: ignored without `pretrained`.

    Raises:
        EdgeError: all features are the same.
    """
    truth = np.asarray(labels, dtype=np.int64)
    centre = features.mean(axis=0)
    spread = float(np.sqrt(((features - centre) ** 2).sum(axis=1).mean()))
    if spread <= SMALLEST_SPREAD * float(np.linalg.norm(centre)):
        raise EdgeError(
            f"a linear probe has nothing to go by: the network's features of all {len(truth)} images are the same; "
            "start from weights that were trained, or omit them"
        )
    images = _with_one((features - centre) / spread)
    rows = None if pretrained is None else _Rows(features, pretrained)
    shares = (0.0,) if rows is None else tuple(row_shares)
    choices = list(product(shares, ridges))

    def heads(seen: NDArray[np.intp]) -> list[Array]:
        """One head (features + 1, classes) per choice."""
        examples = _Examples.of(images[seen], truth[seen], classes)
        joined = [examples if rows is None or not share else rows.joined(examples, seen, share) for share in shares]
        return [head for each in joined for head in each.ridge_heads(ridges)]

    scores = np.zeros((len(choices), len(truth), classes))
    for fold in range(FOLDS):
        held_out = _places(truth) % FOLDS == fold
        if held_out.any() and not held_out.all():
            for choice, head in enumerate(heads(np.flatnonzero(~held_out))):
                scores[choice, held_out] = images[held_out] @ head
    entropies = np.array([[cross_entropy(scale * score, truth) for scale in SCALES] for score in scores])
    right = (scores.argmax(axis=2) == truth).sum(axis=1)
    best = min(range(len(choices)), key=lambda choice: (-int(right[choice]), float(entropies[choice].min())))
    scale = int(entropies[best].argmin())
    head = heads(np.arange(len(truth)))[best] * SCALES[scale]
    weight = head[:-1].T / spread
    return Probe(
        weight=weight,
        bias=head[-1] - weight @ centre,
        row_share=choices[best][0],
        ridge=choices[best][1],
        accuracy=float(right[best] / len(truth)),
    )


def cross_entropy(logits: Array, labels: NDArray[np.int64]) -> float:
    """Mean cross entropy of logits (images, classes), in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float((np.log(np.exp(shifted).sum(axis=1)) - own).mean())


@dataclass(frozen=True, kw_only=True)
class _Examples:
    """What a ridge regression is fitted to: inputs (n, features + 1), targets (n, classes), weights (n,)."""

    inputs: Array
    targets: Array
    weights: Array

    @classmethod
    def of(cls, images: Array, labels: NDArray[np.int64], classes: int) -> "_Examples":
        """Images of one class each."""
        weights = 1.0 / np.sqrt(np.bincount(labels, minlength=classes)[labels])
        return cls(inputs=images, targets=np.eye(classes)[labels], weights=weights / weights.mean())

    def ridge_heads(self, ridges: Sequence[float]) -> list[Array]:
        """One head (features + 1, classes) per ridge, by whichever of the two normal equations is the smaller."""
        root = np.sqrt(self.weights)[:, None]
        x, y = self.inputs * root, self.targets * root
        if len(x) < x.shape[1]:
            products, identity = x @ x.T, np.eye(len(x))
            return [np.asarray(x.T @ np.linalg.solve(products + ridge * identity, y)) for ridge in ridges]
        products, moments, identity = x.T @ x, x.T @ y, np.eye(x.shape[1])
        return [np.asarray(np.linalg.solve(products + ridge * identity, moments)) for ridge in ridges]


class _Rows:
    """The rows of the pretrained classifier as examples: centred, of length 1; and what it answers to the images."""

    def __init__(self, features: Array, pretrained: Pretrained) -> None:
        logits = features @ pretrained.weight.T + pretrained.bias
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.predictions: Array = likely / likely.sum(axis=1, keepdims=True)  # (images, rows)
        rows = pretrained.weight - pretrained.weight.mean(axis=0)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        alike = np.exp((rows @ rows.T) / ALIKE)
        self.alike: Array = alike / alike.sum(axis=1, keepdims=True)
        self.inputs = _with_one(rows)

    def joined(self, images: _Examples, seen: NDArray[np.intp], share: float) -> _Examples:
        """These images, at places `seen`, and the rows, each with what the images say of it and as much as they say."""
        by_class = images.targets / np.maximum(images.targets.sum(axis=0), 1.0)
        votes = self.alike @ (self.predictions[seen].T @ by_class)  # (rows, classes)
        said = votes.sum(axis=1)
        return _Examples(
            inputs=np.vstack([images.inputs, self.inputs]),
            targets=np.vstack([images.targets, votes / np.maximum(said[:, None], 1e-300)]),
            weights=np.concatenate([images.weights, said / said.sum() * share * len(seen)]),
        )


def _with_one(values: Array) -> Array:
    return np.hstack([values, np.ones((len(values), 1))])


def _places(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The how manieth image of its class each one is, continued from class to class so that folds are equal."""
    places = np.empty(len(labels), dtype=np.int64)
    places[np.argsort(labels, kind="stable")] = np.arange(len(labels))
    return places
