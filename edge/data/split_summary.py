"""What a split holds, counted: images, and by class images, boxes or the share of pixels."""

from typing import Any

import numpy as np

from edge.data.class_counts import class_shares
from edge.data.splits import Split


def split_summary(split: Split) -> dict[str, Any]:
    """Figures of a split, JSON-ready; masks are read, images are not.

    `classes` has a row per class: `images` that it stands in, of boxes `boxes`, `ignored` ones and the median `width`
    and `height` in pixels of those that are not, of masks its `share` of the labelled pixels.
    """
    summary: dict[str, Any] = {"origin": split.origin, "task": split.task, "images": len(split)}
    if split.skipped_damaged:
        summary["skipped_damaged"] = split.skipped_damaged
    if split.scores != "exclusive":
        summary["scores"] = split.scores
    if split.has_boxes:
        return summary | _boxes(split)
    if split.has_masks:
        shares = class_shares(split)
        rows = [{"name": name, "share": float(share)} for name, share in zip(split.classes, shares, strict=True)]
        return summary | {"classes": rows}
    if split.has_labels:
        counts = sum((split.truth(index) == 1).astype(np.int64) for index in range(len(split)))
        pairs = zip(split.classes, np.atleast_1d(counts), strict=True)
        return summary | {"classes": [{"name": name, "images": int(count)} for name, count in pairs]}
    return summary


def _boxes(split: Split) -> dict[str, Any]:
    given = [split.boxes(index) for index in range(len(split))]
    labels = np.concatenate([boxes.labels for boxes in given])
    ignored = np.concatenate([boxes.ignored for boxes in given])
    edges = np.concatenate([boxes.boxes for boxes in given])
    of_image = np.repeat(np.arange(len(given)), [len(boxes.labels) for boxes in given])
    sides = edges[:, 2:] - edges[:, :2]
    rows = []
    for index, name in enumerate(split.classes):
        counted = (labels == index) & ~ignored
        row: dict[str, Any] = {"name": name, "images": len(np.unique(of_image[labels == index]))}
        row |= {"boxes": int(counted.sum()), "ignored": int(((labels == index) & ignored).sum())}
        if counted.any():
            width, height = np.median(sides[counted], axis=0)
            row |= {"width": float(width), "height": float(height)}
        rows.append(row)
    return {
        "boxes": int((~ignored).sum()),
        "ignored": int(ignored.sum()),
        "without_boxes": sum(not len(boxes.labels) for boxes in given),
        "most_boxes": max(len(boxes.labels) for boxes in given),
        "classes": rows,
    }
