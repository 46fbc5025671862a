"""Boundary IoU: how well two masks agree along their edges (Cheng, Girshick, Dollar, Berg, Kirillov, CVPR 2021).

Mask IoU grows with an object's size although its edge is as wrong as before: the inside, which is easy, outweighs the
edge. Boundary IoU counts only pixels near the two masks' own edges.
"""

from collections.abc import Callable, Iterator, Sequence
from math import hypot
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Counts = NDArray[np.int64]

COCO_RATIO = 0.02
CITYSCAPES_RATIO = 0.005
VOID = 255
"""The value of a class map that is no class: not labelled, or not seen."""
SQUARE = 3
"""Up to this width OpenCV's square is the fastest; beyond it four corners of what is there already are."""


def band_width(shape_hw: tuple[int, ...], dilation_ratio: float) -> int:
    """How far from an edge the band reaches, in pixels: max(1, round(dilation_ratio * image diagonal))."""
    if not 0 < dilation_ratio < 1:
        raise UsageError(f"the dilation ratio is a share of the image diagonal between 0 and 1, found {dilation_ratio}")
    return max(1, round(dilation_ratio * hypot(*shape_hw)))


def boundary_band(mask: Mask, width: int) -> Mask:
    """The pixels of a mask that are at most `width` from a pixel outside it; what lies around the image is outside.

    The mask minus its erosion by a 3x3 square, `width` times, which is once by a square of 2 * width + 1.
    """
    return np.asarray(mask & map_bands(mask.astype(np.uint8), [width])[0], dtype=np.bool_)


def boundary_iou(predicted: Mask, truth: Mask, dilation_ratio: float) -> float:
    """Intersection over union of the two masks' boundary bands.

    The band of a mask is the mask minus its erosion by a 3x3 square, d times, where
    d = max(1, round(dilation_ratio * image diagonal)); the image edge counts as boundary.
    (Cheng et al., CVPR 2021, arXiv 2103.16562: |(G_d and G) and (P_d and P)| / |(G_d and G) or (P_d and P)|, with the
    band G_d and G as in the authors' code, bowenc0221/boundary-iou-api, boundary_iou/utils/boundary_utils.py,
    `mask_to_boundary`; ratio 0.02 for COCO, 0.005 for Cityscapes.)

    Args:
        predicted, truth: bool (h, w), same shape.
        dilation_ratio: fraction of the image diagonal, in (0, 1).

    Returns:
        A value in [0, 1]; nan when both bands are empty.
    """
    if predicted.shape != truth.shape:
        raise UsageError(f"truth has shape {truth.shape}, prediction {predicted.shape}; they must be equal")
    width = band_width(truth.shape, dilation_ratio)
    mine, theirs = boundary_band(predicted, width), boundary_band(truth, width)
    union = int(np.count_nonzero(mine | theirs))
    return int(np.count_nonzero(mine & theirs)) / union if union else float("nan")


def map_bands(class_map: Pixels, widths: Sequence[int], *, image_edge: bool = True) -> list[Mask]:
    """The bands of all classes of a map at once: pixels with another class at most a width away (chessboard distance).

    A pixel lies in its own class's band where the largest and the smallest class around it differ, so two passes serve
    every class. VOID is no class: next to it nothing is a boundary. What a void pixel itself gets means nothing.

    Args:
        class_map: uint8 (h, w).
        widths: in pixels, from the smallest to the largest; each starts from the one before.
        image_edge: whether what lies around the image counts as another class.

    Returns:
        bool (h, w) for each width.
    """
    if sorted(widths) != list(widths):
        raise UsageError(f"widths of bands go from the smallest to the largest, found {list(widths)}")
    bands = []
    one_up = class_map + np.uint8(1)  # VOID becomes 0, the least of all: it never is the largest
    for width, least, largest in zip(
        widths, _spread(cv2.erode, class_map, widths), _spread(cv2.dilate, one_up, widths), strict=True
    ):
        band: Mask = np.not_equal(largest, least + np.uint8(1))
        if image_edge:
            band[:width] = band[-width:] = True
            band[:, :width] = band[:, -width:] = True
        bands.append(band)
    return bands


def _spread(extreme: Callable[..., Any], class_map: Pixels, widths: Sequence[int]) -> Iterator[Pixels]:
    """The least or largest value at most each width away (`cv2.erode`, `cv2.dilate`)."""
    reached = 0
    for width in widths:
        if not reached:
            reached = min(width, SQUARE)
            # Beyond the image OpenCV takes what changes nothing.
            class_map = extreme(class_map, np.ones((2 * reached + 1, 2 * reached + 1), np.uint8))
        while reached < width:  # four squares that touch make a larger one
            step = min(reached, width - reached)
            corners = np.zeros((2 * step + 1, 2 * step + 1), np.uint8)
            corners[:: 2 * step, :: 2 * step] = 1
            class_map = extreme(class_map, corners, borderType=cv2.BORDER_REPLICATE)
            reached += step
        yield class_map


def count_maps(
    truth: Pixels, predicted: Pixels, classes: int, ratios: Sequence[float], ignore_index: int | None = None
) -> tuple[Counts, Counts]:
    """Pixels of one image by class, of the maps and of their bands; what is void counts in neither.

    Neighbours are mostly alike, so whole runs of equal pixels are counted.

    Args:
        truth, predicted: uint8 (h, w), values in [0, classes) or VOID; truth also `ignore_index`.
        ratios: dilation ratios from the smallest to the largest, at most 15.

    Returns:
        int64 (1 + ratios, classes) twice: of the intersections and of the unions of truth and prediction, first of the
        whole areas, then of the bands of each ratio. Images are pooled by adding them up.

    Raises:
        UsageError: maps of two sizes, of another type, or with a value that is no class.
    """
    if truth.shape != predicted.shape:
        raise UsageError(f"truth has shape {truth.shape}, prediction {predicted.shape}; they must be equal")
    if others := {truth.dtype, predicted.dtype} - {np.dtype(np.uint8)}:
        raise UsageError(f"class maps are uint8, at most {VOID} classes; found {others.pop()}")
    void = truth == VOID
    void |= predicted == VOID
    if ignore_index is not None:
        void |= truth == ignore_index
    all_ones = np.negative(void.view(np.uint8))  # 255 where void
    truth, predicted = truth | all_ones, predicted | all_ones
    widths = [band_width(truth.shape, ratio) for ratio in ratios]
    levels = 1 + len(ratios)  # in how many of the bands a pixel lies: a narrow one lies within a wide one
    depth = np.zeros(truth.shape, np.uint8)
    for one in (truth, predicted):
        depth *= np.uint8(levels)
        for band in map_bands(one, widths):
            depth += band.view(np.uint8)
    ends = _ends_of_runs(truth, predicted, depth)
    pixels = np.diff(ends, prepend=-1).astype(np.float64)
    true, said, depths = (one.ravel().take(ends) for one in (truth, predicted, depth))
    wrong = np.flatnonzero(true != said)
    shape = (classes, levels, levels)
    all_true = _counted("truth", true, depths, pixels, shape)
    both = all_true - _counted("truth", true[wrong], depths[wrong], pixels[wrong], shape)
    all_said = both + _counted("prediction", said[wrong], depths[wrong], pixels[wrong], shape)
    depth_of = (0, *range(len(ratios), 0, -1))  # of the areas, then of each ratio's band: at least so deep
    intersection = np.array([both[:, least:, least:].sum(axis=(1, 2)) for least in depth_of])
    of_truth = np.array([all_true[:, least:].sum(axis=(1, 2)) for least in depth_of])
    of_predicted = np.array([all_said[:, :, least:].sum(axis=(1, 2)) for least in depth_of])
    return intersection, of_truth + of_predicted - intersection


def _ends_of_runs(*images: Pixels) -> Counts:
    """Where, in row order, the last pixel stands of every run in which all images keep their value."""
    changes = np.zeros(images[0].size, np.bool_)
    changes[-1:] = True
    for one in images:
        flat = one.ravel()
        changes[:-1] |= flat[1:] != flat[:-1]
    return np.flatnonzero(changes)


def _counted(
    what: str, values: Pixels, depths: Pixels, pixels: NDArray[np.float64], shape: tuple[int, int, int]
) -> Counts:
    """How many pixels have each class and each depth in truth and prediction, int64 of `shape`, without void."""
    classes, levels, _ = shape
    codes = values * np.intp(levels**2)
    codes += depths
    counts = np.bincount(codes, weights=pixels, minlength=256 * levels**2).astype(np.int64)  # exact to 2^53
    beyond = np.flatnonzero(counts[classes * levels**2 : VOID * levels**2])
    if beyond.size:
        raise UsageError(f"{what} has a value outside 0 to {classes - 1}: {classes + int(beyond[-1]) // levels**2}")
    return counts[: classes * levels**2].reshape(shape)


def mean_share(intersection: Counts, union: Counts) -> float:
    """Mean over the classes that occur (a union that is not empty), in [0, 1]; nan where none does."""
    occurs = union > 0
    return float((intersection[occurs] / union[occurs]).mean()) if occurs.any() else float("nan")
