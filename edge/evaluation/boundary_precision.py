"""Boundary AP of COCO result files: average precision by Boundary IoU (Cheng et al., CVPR 2021).

The overlap of a detection and an object is the smaller one of their mask IoU and their Boundary IoU: mask IoU alone
does not see the edge, and Boundary IoU alone calls a disc and the ring along its edge the same.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError, UsageError
from edge.evaluation.average_precision import AREAS, MOST_DETECTIONS, THRESHOLDS, Matchable, average_precision
from edge.evaluation.boundaries import COCO_RATIO, Mask, band_width, boundary_band
from edge.evaluation.coco_masks import coco_mask
from edge.files.bounded_file import read_text

Entry = Mapping[str, Any]
MOST_BYTES = 2**30
MOST_PIXELS = 2**28
MOST_NUMBER = 1e18


def boundary_average_precision(truth: Path, results: Path, dilation_ratio: float = COCO_RATIO) -> dict[str, float]:
    """Boundary AP of a COCO result file against a COCO ground-truth file, in [0, 1]; nan without such objects.

    Args:
        truth: `images` (id, height, width), `categories` (id), `annotations` (image_id, category_id, segmentation,
            area, iscrowd). results: a list of image_id, category_id, segmentation, score.

    Returns:
        `ap` (mean over thresholds and categories), `ap50`, `ap75`, `ap_small`, `ap_medium`, `ap_large`.

    Raises:
        DataError: a file that does not hold, with the entry at fault.
    """
    told = _object(_read(truth), truth)
    images = {_number(image, "id", truth): image for image in _entries(told.get("images"), truth)}
    sizes = {index: _size(image, truth) for index, image in images.items()}
    categories = [_number(entry, "id", truth) for entry in _entries(told.get("categories"), truth)]
    objects = _grouped(_entries(told.get("annotations"), truth), sizes, truth)
    detections = _grouped(_entries(_read(results), results), sizes, results)
    found = {area: [] for area in AREAS}  # type: dict[str, list[Any]]
    for category in sorted(categories):
        both = [
            _matchable(objects[place], detections[place], sizes[index], dilation_ratio, (truth, results))
            for index in sorted(sizes)
            if (place := (index, category)) in objects or place in detections
        ]
        for area, values in found.items():
            values.append(average_precision(both, area) if both else np.full(len(THRESHOLDS), nan))
    figures = {"ap": _mean(found["all"]), "ap50": _mean(found["all"], 0), "ap75": _mean(found["all"], 5)}
    return figures | {f"ap_{area}": _mean(values) for area, values in found.items() if area != "all"}


def _mean(by_category: list[Any], threshold: int | None = None) -> float:
    values = np.array(by_category).reshape(-1, len(THRESHOLDS))
    chosen = values if threshold is None else values[:, threshold]
    chosen = chosen[~np.isnan(chosen)]
    return float(chosen.mean()) if chosen.size else nan


def _matchable(
    objects: list[Entry], detections: list[Entry], size_hw: tuple[int, int], ratio: float, files: tuple[Path, Path]
) -> Matchable:
    """Overlaps of one category on one image; masks are kept as long as that takes."""
    scores = np.array([_number(entry, "score", files[1]) for entry in detections], np.float64)
    order = np.argsort(-scores, kind="stable")[:MOST_DETECTIONS]
    width = band_width(size_hw, ratio)
    there = [_mask(entry, size_hw, files[0]) for entry in objects]
    said = [_mask(detections[place], size_hw, files[1]) for place in order]
    bands = [[boundary_band(mask, width) for mask in masks] for masks in (there, said)]
    crowds = np.array([bool(entry.get("iscrowd", 0)) for entry in objects], np.bool_)
    overlaps = np.zeros((len(said), len(there)), np.float64)
    for row, mask in enumerate(said):
        for column, crowd in enumerate(crowds):
            overlap = _overlap(mask, there[column], crowd=bool(crowd))
            if not crowd:
                overlap = min(overlap, _overlap(bands[1][row], bands[0][column]))
            overlaps[row, column] = overlap
    return Matchable(
        overlaps=overlaps,
        scores=scores[order],
        detected_areas=np.array([np.count_nonzero(mask) for mask in said], np.float64),
        areas=np.array([_number(entry, "area", files[0]) for entry in objects], np.float64),
        crowds=crowds,
    )


def _overlap(detected: Mask, truth: Mask, *, crowd: bool = False) -> float:
    """Intersection over union, or over the detection where the truth is a crowd; 0 where both are empty."""
    together = int(np.count_nonzero(detected & truth))
    whole = int(np.count_nonzero(detected if crowd else detected | truth))
    return together / whole if whole else 0.0


def _mask(entry: Entry, size_hw: tuple[int, int], path: Path) -> Mask:
    try:
        return coco_mask(entry.get("segmentation"), size_hw)
    except UsageError as error:
        raise DataError(path, f"image {entry['image_id']}: {error}") from error


def _read(path: Path) -> Any:
    text = read_text(path, most_bytes=MOST_BYTES, error=DataError)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"is not JSON: {error}") from error


def _object(value: Any, path: Path) -> Entry:
    if not isinstance(value, dict):
        raise DataError(path, "is not a COCO ground-truth file: expected an object with images and annotations")
    return value


def _entries(value: Any, path: Path) -> list[Entry]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise DataError(path, "expected a list of objects (COCO's images, categories, annotations or results)")
    return value


def _number(entry: Entry, key: str, path: Path) -> Any:
    value = entry.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not -MOST_NUMBER < value < MOST_NUMBER:
        raise DataError(path, f"an entry has no number `{key}`, found {value!r}")
    return value


def _size(image: Entry, path: Path) -> tuple[int, int]:
    height, width = (_number(image, key, path) for key in ("height", "width"))
    if type(height) is not int or type(width) is not int or not 0 < height * width <= MOST_PIXELS or height < 0:
        raise DataError(path, f"image {image['id']}: a size of {height}x{width} (height x width)")
    return height, width


def _grouped(entries: list[Entry], sizes: Mapping[Any, Any], path: Path) -> "defaultdict[tuple[Any, Any], list[Entry]]":
    """By image and category, in the file's order."""
    groups: defaultdict[tuple[Any, Any], list[Entry]] = defaultdict(list)
    for entry in entries:
        place = (_number(entry, "image_id", path), _number(entry, "category_id", path))
        if place[0] not in sizes:
            raise DataError(path, f"an entry is of image {place[0]}, which the ground truth does not have")
        groups[place].append(entry)
    return groups
