"""Boundary IoU: how well two masks agree along their edges (Cheng, Girshick, Dollar, Berg, Kirillov, CVPR 2021).

Mask IoU grows with an object's size although its edge is as wrong as before: the inside, which is easy, outweighs the
edge. Boundary IoU counts only pixels near the two masks' own edges.
"""

from collections.abc import Sequence
from math import hypot

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
MOST_COUNTED = 2**24
"""OpenCV's histograms are float32: whole numbers up to here."""


def band_width(shape_hw: tuple[int, ...], dilation_ratio: float) -> int:
    """How far from an edge the band reaches, in pixels: max(1, round(dilation_ratio * image diagonal))."""
    if not 0 < dilation_ratio < 1:
        raise UsageError(f"the dilation ratio is a share of the image diagonal between 0 and 1, found {dilation_ratio}")
    return max(1, round(dilation_ratio * hypot(*shape_hw)))


def boundary_band(mask: Mask, width: int) -> Mask:
    """The pixels of a mask that are at most `width` from a pixel outside it; what lies around the image is outside.

    The mask minus its erosion by a 3x3 square, `width` times, which is once by a square of 2 * width + 1 (section 3.4).
    """
    return np.asarray(mask & map_band(mask.astype(np.uint8), width), dtype=np.bool_)


def boundary_iou(predicted: Mask, truth: Mask, dilation_ratio: float) -> float:
    """Intersection over union of the two masks' boundary bands.

    The band of a mask is the mask minus its erosion by a 3x3 square, d times, where
    d = max(1, round(dilation_ratio * image diagonal)); the image edge counts as boundary.
    (Cheng et al., CVPR 2021, section 3.4; ratio 0.02 for COCO, 0.005 for Cityscapes.)

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


def map_band(class_map: Pixels, width: int, *, image_edge: bool = True) -> Mask:
    """The bands of all classes of a map at once: pixels with another class at most `width` away (chessboard distance).

    A pixel lies in its own class's band where the largest and the smallest class around it differ, so two passes serve
    every class. VOID is no class: next to it nothing is a boundary, and void itself lies in no band.

    Args:
        class_map: uint8 (h, w).
        image_edge: whether what lies around the image counts as another class.

    Returns:
        bool (h, w).
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    one_up = class_map + np.uint8(1)  # VOID becomes 0, the least of all: it never is the largest
    # Beyond the image OpenCV takes what changes nothing. New arrays cost more here than what is done with them.
    least = cv2.erode(class_map, square)
    least += np.uint8(1)
    band: Mask = np.not_equal(cv2.dilate(one_up, square, dst=one_up), least, out=least.view(np.bool_))
    if image_edge:
        band[:width] = band[-width:] = True
        band[:, :width] = band[:, -width:] = True
    band &= class_map != VOID
    return band


def count_maps(
    truth: Pixels, predicted: Pixels, classes: int, ratios: Sequence[float], ignore_index: int | None = None
) -> tuple[Counts, Counts]:
    """Pixels of one image by class, of the maps and of their bands; what is void counts in neither.

    Every pixel is counted once, by its true class and by which bands it lies in; those few that are predicted wrongly
    are then taken from one class and given to another.

    Args:
        truth, predicted: uint8 (h, w), values in [0, classes) or VOID; truth also `ignore_index`.
        ratios: dilation ratios, at most three.

    Returns:
        int64 (1 + ratios, classes) twice: of the intersections and of the unions of truth and prediction, first of the
        whole areas, then of the bands of each ratio. Images are pooled by adding them up.

    Raises:
        UsageError: maps of two sizes, or a value that is no class.
    """
    if truth.shape != predicted.shape:
        raise UsageError(f"truth has shape {truth.shape}, prediction {predicted.shape}; they must be equal")
    void = _all_ones(truth == VOID) | _all_ones(predicted == VOID)
    if ignore_index is not None:
        void |= _all_ones(truth == ignore_index)
    truth, predicted = truth | void, predicted | void
    kinds = 4 ** len(ratios)  # two bits for each ratio: in the truth's band, in the prediction's
    bits = np.zeros(truth.shape, np.uint8)
    for place, ratio in enumerate(ratios):
        width = band_width(truth.shape, ratio)
        for side, one in enumerate((truth, predicted)):
            band = map_band(one, width).view(np.uint8)
            bits |= np.left_shift(band, np.uint8(2 * place + side), out=band)
    codes = truth * np.uint16(kinds)
    codes |= bits
    wrong = np.flatnonzero(truth != predicted)
    true_there = codes.ravel()[wrong]
    said_there = true_there % np.uint16(kinds) + predicted.ravel()[wrong] * np.uint16(kinds)
    everywhere = _histogram("truth", codes, classes, kinds)
    right = everywhere - _histogram("truth", true_there, classes, kinds)
    said = right + _histogram("prediction", said_there, classes, kinds)
    in_truth, in_predicted = np.ones((2, 1 + len(ratios), kinds), np.int64)
    for place in range(len(ratios)):
        in_truth[1 + place] = np.arange(kinds) >> (2 * place) & 1
        in_predicted[1 + place] = np.arange(kinds) >> (2 * place + 1) & 1
    intersection = (in_truth * in_predicted) @ right.T
    return intersection, in_truth @ everywhere.T + in_predicted @ said.T - intersection


def _all_ones(where: Mask) -> Pixels:
    """255 where true, 0 elsewhere."""
    return np.negative(where.view(np.uint8))


def _histogram(what: str, codes: NDArray[np.uint16], classes: int, kinds: int) -> Counts:
    """How many pixels have each class and each combination of bits, int64 (classes, kinds), without void."""
    counts = np.zeros((256, kinds), np.int64)
    flat = codes.reshape(1, -1)
    for start in range(0, flat.shape[1], MOST_COUNTED):
        # OpenCV's histogram, because NumPy's makes eight bytes of every pixel first.
        part = np.ascontiguousarray(flat[:, start : start + MOST_COUNTED])
        found = cv2.calcHist([part], [0], None, [counts.size], [0, counts.size])
        counts += found.reshape(counts.shape).astype(np.int64)
    beyond = np.flatnonzero(counts[classes:VOID].any(axis=1))
    if beyond.size:
        raise UsageError(f"{what} has a value outside 0 to {classes - 1}: {classes + int(beyond[-1])}")
    return counts[:classes]


def mean_share(intersection: Counts, union: Counts) -> float:
    """Mean over the classes that occur (a union that is not empty), in [0, 1]; nan where none does."""
    occurs = union > 0
    return float((intersection[occurs] / union[occurs]).mean()) if occurs.any() else float("nan")
