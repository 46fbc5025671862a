"""Boxes in COCO's two forms, ground truth and results, so that anybody's tool can count them.

Images are numbered from 1 in the split's order, categories from 1 in the order of the classes, whatever the split was
read from. A box's area is its width times its height: splits hold no outlines.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import BoxArrays
from edge.files.atomic import make_folder, write_text

Rows = NDArray[np.floating[Any]]
"""Detections of one image, (n, 6): x0 y0 x1 y1 in pixels of the image, score, label."""
ANNOTATIONS, RESULTS = "annotations.json", "results.json"


def coco_annotations(truth: Sequence[BoxArrays], classes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """`images`, `categories` and `annotations` of a ground-truth file; what is ignored is a crowd (`iscrowd`)."""
    told: list[dict[str, Any]] = []
    for image, target in enumerate(truth, start=1):
        for box, label, ignored in zip(_boxes(target.boxes), target.labels, target.ignored, strict=True):
            place = {"id": len(told) + 1, "image_id": image, "category_id": int(label) + 1}
            told.append({**place, "bbox": box, "area": box[2] * box[3], "iscrowd": int(ignored)})
    return {
        "images": [{"id": image + 1} for image in range(len(truth))],
        "categories": [{"id": label, "name": name} for label, name in enumerate(classes, start=1)],
        "annotations": told,
    }


def coco_results(found: Sequence[Rows]) -> list[dict[str, Any]]:
    """The entries of a results file, in the order of images and rows."""
    return [
        {"image_id": image, "category_id": int(row[5]) + 1, "bbox": box, "score": float(row[4])}
        for image, rows in enumerate(found, start=1)
        for box, row in zip(_boxes(rows[:, :4]), rows, strict=True)
    ]


def write_coco(
    folder: Path,
    found: Sequence[Rows],
    truth: Sequence[BoxArrays],
    classes: Sequence[str],
    names: Sequence[str],
    sizes_hw: Sequence[tuple[int, int]],
) -> None:
    """Write `annotations.json` and `results.json`.

    Args:
        names, sizes_hw: what the images are called, and their heights and widths.
    """
    annotations = coco_annotations(truth, classes)
    for image, name, (height, width) in zip(annotations["images"], names, sizes_hw, strict=True):
        image.update(file_name=name, height=height, width=width)
    make_folder(folder)
    write_text(folder / ANNOTATIONS, json.dumps(annotations))
    write_text(folder / RESULTS, json.dumps(coco_results(found)))


def _boxes(boxes: Rows) -> list[list[float]]:
    """Edges to x, y, width, height."""
    corners = boxes.astype(np.float64)
    told: list[list[float]] = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
    return told
