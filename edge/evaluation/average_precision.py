"""Average precision as COCO counts it (cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py), from overlaps.

Precision at 101 recalls, the mean over the thresholds 0.50 to 0.95 in steps of 0.05, then over the classes. A crowd is
no object to be found: what lies in it is neither right nor wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


def average_precision(images: Sequence[Matchable], area: str = "all") -> NDArray[np.float64]:
    """Of one class on all images, by threshold, float64 (10,) in [0, 1]; nan without an object of that area."""
    smallest, largest = AREAS[area]
    objects = 0
    scores, right, counted = [], [], []
    for image in images:
        ignored = image.crowds | (image.areas < smallest) | (image.areas > largest)
        objects += int(np.count_nonzero(~ignored))
        found, in_ignored = _matched(image, ignored)
        outside = (image.detected_areas < smallest) | (image.detected_areas > largest)
        scores.append(image.scores)
        right.append(found & ~in_ignored)
        counted.append(~in_ignored & (found | ~outside))
    if not objects:
        return np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hits = np.concatenate(right, axis=1)[:, order]
    misses = np.concatenate(counted, axis=1)[:, order] & ~hits
    pairs = zip(np.cumsum(hits, axis=1), np.cumsum(misses, axis=1), strict=True)
    return np.array([_area_under(true, false, objects) for true, false in pairs])


def _matched(image: Matchable, ignored: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """By threshold and detection: whether it has an object, and whether that is one that does not count.

    The best detection chooses first: the object that it overlaps most and nobody has; one that counts if there is one.
    """
    shape = (len(THRESHOLDS), len(image.scores))
    found, in_ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    order = np.argsort(ignored, kind="stable")
    for place, threshold in enumerate(THRESHOLDS):
        taken = np.zeros(len(ignored), np.bool_)
        for detection in range(shape[1]):
            best, chosen = min(threshold, 1 - 1e-10), -1
            for candidate in order:
                if taken[candidate] and not image.crowds[candidate]:
                    continue
                if chosen >= 0 and ignored[candidate] and not ignored[chosen]:
                    break
                if image.overlaps[detection, candidate] >= best:
                    best, chosen = image.overlaps[detection, candidate], int(candidate)
            if chosen >= 0:
                taken[chosen] = True
                found[place, detection], in_ignored[place, detection] = True, ignored[chosen]
    return found, in_ignored


def _area_under(true: NDArray[np.int64], false: NDArray[np.int64], objects: int) -> float:
    """The mean over RECALLS of the best precision at that recall or a higher one; 0 where none is that high."""
    precision = true / (true + false + np.spacing(1))
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(true / objects, RECALLS, side="left")
    return float(np.append(best_from_here, 0.0)[places].mean())
