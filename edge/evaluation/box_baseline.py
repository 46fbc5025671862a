"""What a detector must beat: boxes where the boxes of other images are, said without a look at a pixel."""

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import BoxArrays
from edge.data.splits import Split
from edge.evaluation.average_precision import MOST_DETECTIONS
from edge.evaluation.coco_boxes import Rows
from edge.evaluation.detection import mean_precision
from edge.vision.box_overlaps import box_overlaps
from edge.vision.suppression import suppressed

MOST_IMAGES = 100  # of a half, evenly spread, that answers come from; twice as many are asked
MOST_BOXES = 2000  # of a class that are compared with each other
SAME_PLACE = 0.5


def other_half_precision(split: Split, count: int) -> float:
    """AP .50:.95, in [0, 1], of `other_half_boxes`."""
    found, truth = other_half_boxes(split, count)
    value = mean_precision(found, truth, len(split.classes))(np.ones(len(found), np.int64))
    return 0.0 if np.isnan(value) else value


def other_half_boxes(split: Split, count: int) -> tuple[list[Rows], list[BoxArrays]]:
    """Answers to the first `count` images by the commonest boxes of the half they are not in, and what is there.

    Boxes are shares of their images; those of a class that overlap most others come first (`common_boxes`). At most
    2 MOST_IMAGES images are asked, evenly spread. The only image of a split gets no answer.
    """
    half = len(split) // 2
    halves = [common_boxes(split, _spread(range(half, len(split)))), common_boxes(split, _spread(range(half)))]
    found, truth = [], []
    for index in _spread(range(count), 2 * MOST_IMAGES):
        height, width = split.image(index).shape[:2]
        rows = halves[index >= half].copy() if half else np.empty((0, 6))
        rows[:, :4] *= (width, height, width, height)
        found.append(rows)
        truth.append(split.boxes(index))
    return found, truth


def common_boxes(split: Split, indices: list[int]) -> Rows:
    """Where some images have boxes: of each class the MOST_DETECTIONS that overlap most others by SAME_PLACE.

    Returns:
        float64 (n, 6): x0 y0 x1 y1 as shares of the image, how many others per image, label; no two of a class at
        one place.
    """
    there = [_shares(split, index) for index in indices]
    rows = [np.empty((0, 6))]
    for label in range(len(split.classes)):
        of_class = [one.boxes[(one.labels == label) & ~one.ignored] for one in there]
        boxes = np.concatenate([np.empty((0, 4), np.float32), *of_class])
        boxes = boxes[_spread(range(len(boxes)), MOST_BOXES)]
        crowd = (box_overlaps(boxes, boxes) >= SAME_PLACE).sum(axis=1) / max(len(indices), 1)
        best = suppressed(boxes, crowd.astype(np.float32), None, SAME_PLACE)[:MOST_DETECTIONS]
        rows.append(np.column_stack([boxes[best], crowd[best], np.full(len(best), label)]))
    return np.concatenate(rows)


def _shares(split: Split, index: int) -> BoxArrays:
    height, width = split.image(index).shape[:2]
    told = split.boxes(index)
    boxes: NDArray[np.float32] = (told.boxes / (width, height, width, height)).astype(np.float32)
    return BoxArrays(boxes=boxes, labels=told.labels, ignored=told.ignored)


def _spread(indices: range, most: int = MOST_IMAGES) -> list[int]:
    """At most so many of them, evenly spread."""
    return sorted({indices[place * len(indices) // most] for place in range(most)}) if len(indices) else []
