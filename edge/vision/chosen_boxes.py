"""Candidates become what was found: the best are decoded, suppressed within their class, and clipped."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.vision.detections import Detections, Selection
from edge.vision.suppression import suppressed

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def chosen(
    rows: Indices, labels: Indices, scores: Floats, decode: Callable[[Indices], Floats], selection: Selection
) -> Detections:
    """Detections as shares of the model's input.

    Args:
        rows: of each candidate's box, int64 (n,); labels int64 (n,); scores float32 (n,), of the threshold at least.
        decode: rows (k,) -> boxes float32 (k, 4), x0, y0, x1, y1 as shares of the input; one not finite is dropped.
    """
    if len(rows) > selection.most_candidates:
        best = np.sort(np.argsort(-scores, kind="stable")[: selection.most_candidates])
        rows, labels, scores = rows[best], labels[best], scores[best]
    boxes = decode(rows)
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        boxes, scores, labels = boxes[finite], scores[finite], labels[finite]
    # Overlaps are those of whole boxes, as TFLite's operator has them: anchors of the last maps exceed the image.
    kept = suppressed(boxes, scores, labels, selection.overlap)[: selection.most]
    return Detections(boxes=boxes[kept].clip(0, 1), scores=scores[kept], labels=labels[kept])
