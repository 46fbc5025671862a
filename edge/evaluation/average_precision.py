"""Average precision as COCO counts it (cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py), from overlaps.

Precision at 101 recalls, the mean over the thresholds 0.50 to 0.95 in steps of 0.05, then over the classes. A crowd is
no object to be found: what lies in it is neither right nor wrong. Matching is apart from counting, so that images can
be drawn again without matching again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100
AREAS: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
"""Ranges of an object's area in pixels, both ends in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Matchable:
    """One class on one image: detections, the best first and at most MOST_DETECTIONS, and objects.

    Attributes:
        overlaps: float64 (detections, objects), in [0, 1]; for a crowd the share of the detection that lies in it.
        scores, detected_areas: float64 (detections,).
        areas: float64 (objects,). crowds: bool (objects,).
    """

    overlaps: NDArray[np.float64]
    scores: NDArray[np.float64]
    detected_areas: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowds: NDArray[np.bool_]


class Ranked(NamedTuple):
    """The detections of a class at one threshold, as places (int64) in the order of their scores.

    Attributes:
        hits: those that have an object which nobody better has.
        left_out: those that are neither right nor wrong.
        before: of each hit, how many are left out before it.
    """

    hits: NDArray[np.int64]
    left_out: NDArray[np.int64]
    before: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """All detections of one class, the best first.

    Attributes:
        images: int64 (detections,), the place of each one's image in the list.
        thresholds: what they are, by threshold.
        objects: int64 (images,), how many are to be found.
    """

    images: NDArray[np.int64]
    thresholds: tuple[Ranked, ...]
    objects: NDArray[np.int64]


def average_precision(images: Sequence[Matchable], area: str = "all") -> NDArray[np.float64]:
    """Of one class on all images, by threshold, float64 (10,) in [0, 1]; nan without an object of that area."""
    ranked = ranking(images, area)
    return precision_of(ranked, np.ones(len(images), np.int64))


def ranking(images: Sequence[Matchable], area: str = "all") -> Ranking:
    """Match one class image by image and put all detections into one order; of equal scores the earlier image first."""
    smallest, largest = AREAS[area]
    objects, right, counted = [], [], []
    for image in images:
        ignored = image.crowds | (image.areas < smallest) | (image.areas > largest)
        objects.append(np.count_nonzero(~ignored))
        found, in_ignored = _matched(image, ignored)
        outside = (image.detected_areas < smallest) | (image.detected_areas > largest)
        right.append(found & ~in_ignored)
        counted.append(~in_ignored & (found | ~outside))
    order = np.argsort(-np.concatenate([image.scores for image in images]), kind="stable")
    both = zip(np.concatenate(right, axis=1)[:, order], np.concatenate(counted, axis=1)[:, order], strict=True)
    places = [(np.flatnonzero(one), np.flatnonzero(~known)) for one, known in both]
    return Ranking(
        images=np.repeat(np.arange(len(images)), [len(image.scores) for image in images])[order],
        thresholds=tuple(Ranked(hits, out, np.searchsorted(out, hits)) for hits, out in places),
        objects=np.array(objects, np.int64),
    )


def precision_of(ranked: Ranking, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average precision by threshold, float64 (10,), with image i counted `times[i]` times; nan without an object."""
    objects = int(times @ ranked.objects)
    if not objects:
        return np.full(len(THRESHOLDS), np.nan)
    weights = times[ranked.images]
    ranks = np.cumsum(weights)
    return np.array([_area_under(one, weights, ranks, objects) for one in ranked.thresholds])


def _matched(image: Matchable, ignored: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """By threshold and detection: whether it has an object, and whether that is one that does not count.

    The best detection chooses first: the object that it overlaps most and nobody has (of equal ones the last); one that
    counts if there is one. A crowd is never taken.
    """
    shape = (len(THRESHOLDS), len(image.scores))
    found, in_ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    taken = np.zeros((shape[0], len(ignored)), np.bool_)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    rows = np.arange(shape[0])
    for detection in np.flatnonzero((image.overlaps >= least[0]).any(axis=1)):
        overlaps = image.overlaps[detection]
        near = (overlaps >= least) & ~taken  # (thresholds, objects)
        # Overlaps are at most 1: one that counts goes before all that do not.
        preferred = np.where(near, np.where(ignored, overlaps - 2, overlaps), -np.inf)
        chosen = preferred.shape[1] - 1 - np.argmax(preferred[:, ::-1], axis=1)
        found[:, detection] = near[rows, chosen]
        in_ignored[:, detection] = found[:, detection] & ignored[chosen]
        taken[rows, chosen] |= found[:, detection] & ~image.crowds[chosen]
    return found, in_ignored


def _area_under(ranked: Ranked, weights: NDArray[np.int64], ranks: NDArray[np.int64], objects: int) -> float:
    """The mean over RECALLS of the best precision at that recall or a higher one; 0 where none is that high.

    Recall rises at hits alone, and precision is highest there: they are all that is looked at.
    """
    true = np.cumsum(weights[ranked.hits])
    all_ = ranks[ranked.hits]
    if ranked.left_out.size:
        all_ = all_ - np.concatenate([[0], np.cumsum(weights[ranked.left_out])])[ranked.before]
    best_from_here = np.zeros(len(true) + 1)
    best_from_here[:-1] = np.maximum.accumulate((true / np.maximum(all_, 1))[::-1])[::-1]
    places = np.searchsorted(true / objects, RECALLS, side="left")
    return float(best_from_here[places].sum()) / len(RECALLS)
