"""Non-maximum suppression by OpenCV: of boxes that overlap, the one with the highest score stays."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
ALL = -1.0  # OpenCV keeps scores above its threshold; ours are chosen before
FARTHEST = 1e4  # in images: one box that is off by more would cost the others their digits when labels are parted


def suppressed(boxes: Floats, scores: Floats, labels: Indices | None, overlap: float) -> Indices:
    """The boxes that stay, by descending score; of equal scores the earlier box first.

    A box goes if a better one that stays overlaps it by more than `overlap` (intersection over union). One without
    area, or with an area beyond float32, meets none, as in TFLite_Detection_PostProcess: OpenCV has it meet all.

    Args:
        boxes: float32 (n, 4), x0, y0, x1, y1 as shares of the image, no nan; cut at 10,000 images.
        scores: float32 (n,), at least 0.
        labels: int64 (n,): boxes of different labels never meet; None: any two do.

    Returns:
        int64 (kept,).
    """
    if labels is None:
        labels = np.zeros(len(boxes), np.int64)
    corners = boxes.clip(-FARTHEST, FARTHEST)
    meeting = np.isfinite(areas(boxes)) & (areas(corners) > 0)
    if meeting.all():
        return _suppressed(corners, scores, labels, overlap)
    places = np.flatnonzero(meeting)
    kept = places[_suppressed(corners[places], scores[places], labels[places], overlap)]
    staying = np.sort(np.concatenate([kept, np.flatnonzero(~meeting)]))
    return np.asarray(staying[np.argsort(-scores[staying], kind="stable")], np.int64)


def areas(boxes: Floats) -> Floats:
    """Areas as float32, of boxes (n, 4); 0 of one that ends before it begins, infinite or nan beyond float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
        return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def _suppressed(boxes: Floats, scores: Floats, labels: Indices, overlap: float) -> Indices:
    if not len(boxes):
        return np.empty(0, np.int64)
    corners = boxes.astype(np.float64)
    # OpenCV moves label k by k times the largest coordinate, which parts the labels where none is below 0.
    least = corners.min()
    rectangles = np.concatenate([corners[:, :2] - least, corners[:, 2:] - corners[:, :2]], axis=1)
    # Lists: its binding reads them faster than arrays.
    kept = cv2.dnn.NMSBoxesBatched(rectangles.tolist(), scores.tolist(), labels.tolist(), ALL, overlap)
    return np.asarray(kept, np.int64).reshape(-1)
