"""A detector's boxes against those of the images: average precision and recall as COCO counts them.

The figures are faster-coco-eval's (the evaluation of cocodataset/cocoapi in C++). Matches are made once more by
`edge.evaluation.average_precision`, to the same figures, so that images can be drawn again for an interval.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from math import isnan, nan
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import BoxArrays
from edge.evaluation.average_precision import AREAS, MOST_DETECTIONS, Matchable, Ranking, precision_of, ranking
from edge.evaluation.coco_boxes import Rows, coco_annotations, coco_results
from edge.vision.box_overlaps import box_areas, box_overlaps

Floats = NDArray[np.float64]
AP50, AP75 = 0, 5  # places among the thresholds 0.50, 0.55, ... 0.95


def detection_figures(found: Sequence[Rows], truth: Sequence[BoxArrays], classes: Sequence[str]) -> dict[str, Any]:
    """What `BoxMeter.figures` says, from the rows and targets of the same images; needs faster_coco_eval."""
    precision, recall = _counted(found, truth, classes)  # (thresholds, recalls, classes, areas), (thresholds, ...)
    of_size = {f"ap_{area}": _mean(precision[..., place]) for place, area in enumerate(AREAS) if area != "all"}
    whole = precision[..., 0]
    objects = np.bincount(np.concatenate([one.labels[~one.ignored] for one in truth]), minlength=len(classes))
    return {
        "map": _mean(whole),
        "ap50": _mean(whole[AP50]),
        "ap75": _mean(whole[AP75]),
        **of_size,
        "recall": _mean(recall[..., 0]),
        "per_class": {
            name: {"ap": _mean(whole[..., k]), "ap50": _mean(whole[AP50, :, k]), "boxes": int(objects[k])}
            for k, name in enumerate(classes)
        },
    }


def coco_package() -> ModuleType:
    """The package that counts; who asks before a long evaluation does not find it missing behind it."""
    return import_module("faster_coco_eval")


def _counted(found: Sequence[Rows], truth: Sequence[BoxArrays], classes: Sequence[str]) -> tuple[Floats, Floats]:
    """Precision and recall with MOST_DETECTIONS per class and image; -1 where there is no such object."""
    package = coco_package()
    annotations = package.COCO(coco_annotations(truth, classes))
    areas = {area: list(limits) for area, limits in AREAS.items() if area != "all"}
    counts = package.COCOeval_faster(annotations, annotations.loadRes(coco_results(found)), "bbox", ranges=areas)
    counts.params.maxDets = [MOST_DETECTIONS]
    counts.evaluate()
    counts.accumulate()
    return np.asarray(counts.eval["precision"])[..., 0], np.asarray(counts.eval["recall"])[..., 0]


def _mean(values: Floats) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def mean_precision(found: Sequence[Rows], truth: Sequence[BoxArrays], classes: int) -> Callable[[Any], float]:
    """AP .50:.95 of these images as a function of how often each is there, int64 (images,).

    nan where none of them has an object.
    """
    pairs = list(zip(found, truth, strict=True))
    ranked: list[tuple[NDArray[np.int64], Ranking]] = []
    for label in range(classes):
        here = [k for k, (rows, there) in enumerate(pairs) if label in rows[:, 5] or label in there.labels]
        if here:
            ranked.append((np.array(here), ranking([_matchable(*pairs[k], label) for k in here])))

    def metric(times: NDArray[np.int64]) -> float:
        by_class = [float(precision_of(one, times[places]).mean()) for places, one in ranked]
        known = [value for value in by_class if not isnan(value)]
        return sum(known) / len(known) if known else nan

    return metric


def _matchable(rows: Rows, truth: BoxArrays, label: int) -> Matchable:
    said = rows[rows[:, 5] == label]
    said = said[np.argsort(-said[:, 4], kind="stable")[:MOST_DETECTIONS]]
    there = truth.labels == label
    boxes, crowds = truth.boxes[there], truth.ignored[there]
    return Matchable(
        overlaps=box_overlaps(said[:, :4], boxes, crowds),
        scores=said[:, 4].astype(np.float64),
        detected_areas=box_areas(said[:, :4]),
        areas=box_areas(boxes),
        crowds=crowds,
    )
