"""Boundary IoU against independent ways of computing it, closed forms, and the paper's own argument."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.data.scenes import camvid
from edge.errors import UsageError
from edge.evaluation.boundaries import (
    CITYSCAPES_RATIO,
    COCO_RATIO,
    VOID,
    band_width,
    boundary_band,
    boundary_iou,
    count_maps,
    map_bands,
    mean_share,
)
from edge.evaluation.segmentation import ConfusionMatrix
from tests.support.examples import examples

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


def eroded(mask: Mask, width: int) -> Mask:
    """As the paper's authors do it: one pixel of zeros around, then `width` erosions by a 3x3 square."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & ~inner.astype(bool)


def near_outside(mask: Mask, width: int) -> Mask:
    """By chessboard distance to what is outside."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_C, 3)[1:-1, 1:-1]
    return mask & (distance <= width)


def looked_at(mask: Mask, width: int) -> Mask:
    """By looking at every neighbour of every pixel."""
    height, wide = mask.shape
    band = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        reach = [(y + dy, x + dx) for dy in range(-width, width + 1) for dx in range(-width, width + 1)]
        band[y, x] = any(not (0 <= i < height and 0 <= j < wide) or not mask[i, j] for i, j in reach)
    return band


def plain_counts(truth: Pixels, predicted: Pixels, classes: int, width: int) -> tuple[list[int], list[int]]:
    """Intersections and unions of the bands class by class; a pixel at void is near no boundary for that."""
    known = (truth != VOID) & (predicted != VOID)
    intersections, unions = [], []
    for index in range(classes):
        bands = []
        for one in (truth, predicted):
            not_other = ~(known & (one != index))
            distance = cv2.distanceTransform(np.pad(not_other, 1).astype(np.uint8), cv2.DIST_C, 3)[1:-1, 1:-1]
            bands.append(known & (one == index) & (distance <= width))
        intersections.append(int((bands[0] & bands[1]).sum()))
        unions.append(int((bands[0] | bands[1]).sum()))
    return intersections, unions


@pytest.mark.parametrize("oracle", [eroded, near_outside, looked_at])
@given(seed=st.integers(0, 10_000))
def test_bands_of_random_masks_equal_three_other_ways(oracle: Callable[[Mask, int], Mask], seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, wide, width = rng.integers(1, 14, 3) if oracle is looked_at else rng.integers(1, 60, 3)
    smooth = cv2.blur(rng.random((int(height), int(wide))), (3, 3))
    mask = np.asarray(smooth > np.quantile(smooth, rng.random()))
    width = min(int(width), 4) if oracle is looked_at else int(width)
    assert np.array_equal(boundary_band(mask, width), oracle(mask, width))


@examples(30)
@given(seed=st.integers(0, 10_000))
def test_all_classes_of_a_random_map_at_once_equal_each_alone(seed: int) -> None:
    """Areas as the confusion matrix has them; bands as chessboard distances give them, with void."""
    rng = np.random.default_rng(seed)
    height, wide, classes = (int(number) for number in rng.integers((1, 1, 1), (50, 70, 40)))
    coarse = rng.integers(0, classes, (2, 1 + height // 5, 1 + wide // 5)).astype(np.uint8)
    truth, predicted = (cv2.resize(one, (wide, height), interpolation=cv2.INTER_NEAREST) for one in coarse)
    predicted = np.where(rng.random((height, wide)) < 0.7, truth, predicted).astype(np.uint8)
    truth[rng.random((height, wide)) < 0.05] = VOID
    predicted[rng.random((height, wide)) < 0.02] = VOID
    right, union = count_maps(truth, predicted, classes, (0.02, 0.11))
    matrix = ConfusionMatrix(classes, VOID)
    matrix.add(np.where(predicted == VOID, np.uint8(VOID), truth), predicted)
    score = matrix.score()
    assert right[0].tolist() == np.diagonal(matrix.counts).tolist()
    assert mean_share(right[0], union[0]) == pytest.approx(score.mean_iou, nan_ok=True)
    for place, ratio in enumerate((0.02, 0.11), start=1):
        expected = plain_counts(truth, predicted, classes, band_width(truth.shape, ratio))
        assert (right[place].tolist(), union[place].tolist()) == expected


@pytest.mark.parametrize("ratio", [CITYSCAPES_RATIO, COCO_RATIO])
def test_real_masks_equal_the_paper_authors_way(test_data: Path, ratio: float) -> None:
    """Every class of CamVid scenes against the next scene; 0 pixels differ."""
    split = camvid(test_data / "camvid", "val")
    masks = [split.mask(index) for index in range(0, 21, 3)]
    for truth, predicted in pairwise(masks):
        filled = [np.where(one == split.ignore_index, np.uint8(3), one) for one in (truth, predicted)]
        width = band_width(truth.shape, ratio)
        right, union = count_maps(*filled, 11, (ratio,))
        for index in range(11):
            mine, theirs = (one == index for one in filled)
            bands = eroded(mine, width), eroded(theirs, width)
            assert np.array_equal(boundary_band(mine, width), bands[0])
            together, either = int((bands[0] & bands[1]).sum()), int((bands[0] | bands[1]).sum())
            assert (right[1][index], union[1][index]) == (together, either)
            if either:
                assert boundary_iou(mine, theirs, ratio) == together / either
        void = [np.where(truth == split.ignore_index, np.uint8(VOID), one) for one in (truth, predicted)]
        void[1][predicted == split.ignore_index] = VOID
        right, union = count_maps(*void, 11, (ratio,))
        assert (right[1].tolist(), union[1].tolist()) == plain_counts(*void, 11, width)


def grown(side: int, by: int, size: int = 400) -> tuple[Mask, Mask]:
    """A square of a side, and the same with its edge `by` pixels further out."""
    truth, predicted = np.zeros((2, size, size), bool)
    start = (size - side) // 2
    truth[start : start + side, start : start + side] = True
    predicted[start - by : start + side + by, start - by : start + side + by] = True
    return predicted, truth


def test_with_the_same_boundary_error_mask_iou_rises_with_size_and_boundary_iou_does_not() -> None:
    """The argument of the paper: an edge that is 3 pixels off, d = 11."""
    masks, boundaries = [], []
    for side in (60, 100, 150, 220, 300):
        predicted, truth = grown(side, 3)
        masks.append((predicted & truth).sum() / (predicted | truth).sum())
        boundaries.append(boundary_iou(predicted, truth, COCO_RATIO))
    assert masks == sorted(masks) and masks[-1] - masks[0] > 0.13
    assert max(boundaries) - min(boundaries) < 0.025
    assert boundaries[-1] == pytest.approx((11 - 3) / (11 + 3), abs=0.01)  # of a straight edge


@pytest.mark.parametrize("side", [40, 100, 301])
def test_a_grown_square_has_its_closed_form(side: int) -> None:
    """The rings of width d, moved outwards by e, share the truth's outer d - e pixels."""
    d, e = 11, 4
    ring = side**2 - (side - 2 * (d - e)) ** 2
    assert boundary_iou(*grown(side, e), COCO_RATIO) == ring / ((side + 2 * e) ** 2 - (side - 2 * d) ** 2)


@pytest.mark.parametrize("side", [2, 9, 16])
def test_a_small_object_is_not_punished_more_than_by_mask_iou(side: int) -> None:
    """A thing thinner than 2 d is all boundary: Boundary IoU is its mask IoU."""
    predicted, truth = grown(side, 3)
    assert boundary_iou(predicted, truth, COCO_RATIO) == (predicted & truth).sum() / (predicted | truth).sum()


def test_it_is_symmetric_one_for_equal_masks_and_nan_for_none() -> None:
    predicted, truth = grown(50, 2)
    assert boundary_iou(predicted, truth, 0.02) == boundary_iou(truth, predicted, 0.02) < 1
    assert boundary_iou(truth, truth, 0.02) == 1.0
    assert boundary_iou(truth, np.zeros_like(truth), 0.02) == 0.0
    assert math.isnan(boundary_iou(np.zeros_like(truth), np.zeros_like(truth), 0.02))


def test_the_image_edge_is_boundary() -> None:
    whole = np.ones((30, 40), bool)
    assert boundary_band(whole, 1).sum() == 30 * 40 - 28 * 38
    assert map_bands(np.zeros((30, 40), np.uint8), [3], image_edge=False)[0].sum() == 0


def test_void_makes_no_boundary_of_its_own() -> None:
    """A class around an unlabelled spot, and a model that answers another class there."""
    truth = np.zeros((41, 41), np.uint8)
    truth[15:26, 15:26] = VOID
    predicted = np.where(truth == VOID, np.uint8(1), truth)
    right, union = count_maps(truth, predicted, 2, (0.02,))
    assert (right[1].tolist(), union[1].tolist()) == ([41**2 - 39**2, 0], [41**2 - 39**2, 0])


def test_widths_of_the_ratios() -> None:
    """d = max(1, round(ratio * diagonal))."""
    assert [band_width((360, 480), ratio) for ratio in (CITYSCAPES_RATIO, COCO_RATIO)] == [3, 12]
    assert (band_width((1024, 2048), CITYSCAPES_RATIO), band_width((8, 8), CITYSCAPES_RATIO)) == (11, 1)


def test_what_does_not_fit_is_refused() -> None:
    one = np.zeros((4, 4), np.uint8)
    with pytest.raises(UsageError, match="they must be equal"):
        boundary_iou(one > 0, np.zeros((4, 5), bool), 0.02)
    with pytest.raises(UsageError, match="they must be equal"):
        count_maps(one, np.zeros((4, 5), np.uint8), 2, (0.02,))
    with pytest.raises(UsageError, match="share of the image diagonal between 0 and 1, found 2"):
        band_width((4, 4), 2)
    with pytest.raises(UsageError, match="prediction has a value outside 0 to 1: 7"):
        count_maps(one, one + np.uint8(7), 2, (0.02,))
    with pytest.raises(UsageError, match="truth has a value outside 0 to 1: 7"):
        count_maps(one + np.uint8(7), one, 2, (0.02,))


@examples(30)
@given(seed=st.integers(0, 10_000))
def test_bands_of_several_widths_equal_each_alone(seed: int) -> None:
    """Each width starts from the one before; widths beyond the map's size are whole."""
    rng = np.random.default_rng(seed)
    height, wide = (int(number) for number in rng.integers(1, 50, 2))
    coarse = rng.integers(0, 5, (1 + height // 6, 1 + wide // 6)).astype(np.uint8)
    class_map = cv2.resize(coarse, (wide, height), interpolation=cv2.INTER_NEAREST)
    class_map[rng.random((height, wide)) < 0.1] = VOID
    widths = sorted(int(number) for number in rng.integers(1, 60, 4))
    for image_edge in (True, False):
        together = map_bands(class_map, widths, image_edge=image_edge)
        for width, band in zip(widths, together, strict=True):
            bands = [np.zeros_like(class_map, bool)]
            for index in range(5):  # every class against all others, void being neither
                not_other = (class_map == index) | (class_map == VOID)
                around = np.pad(not_other, 1, constant_values=not image_edge).astype(np.uint8)
                distance = cv2.distanceTransform(np.pad(around, 70, mode="edge"), cv2.DIST_C, 3)[71:-71, 71:-71]
                bands.append((class_map == index) & (distance <= width))
            known = class_map != VOID
            assert np.array_equal(band & known, np.logical_or.reduce(bands))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_maps_smaller_than_the_band_are_all_band(shape: tuple[int, int]) -> None:
    """At a ratio whose width exceeds the map Boundary IoU is IoU."""
    rng = np.random.default_rng(7)
    truth, predicted = rng.integers(0, 3, (2, *shape)).astype(np.uint8)
    right, union = count_maps(truth, predicted, 3, (0.6, 0.9))
    assert right[1].tolist() == right[2].tolist() == right[0].tolist()
    assert union[1].tolist() == union[2].tolist() == union[0].tolist()


def test_void_everywhere_counts_nothing() -> None:
    truth = np.full((20, 30), VOID, np.uint8)
    for counts in count_maps(truth, np.zeros_like(truth), 2, (0.02, 0.1)):
        assert not counts.any()
    assert math.isnan(mean_share(*(counts[1] for counts in count_maps(truth, truth, 2, (0.02,)))))


def test_one_class_alone_has_the_image_edge_as_its_boundary() -> None:
    """Equal maps of one class: 1; and a class that only the prediction has is a 0 that counts in the mean."""
    truth = np.zeros((40, 60), np.uint8)
    right, union = count_maps(truth, truth, 3, (0.005,))
    assert (mean_share(right[1], union[1]), union[1].tolist()) == (1.0, [40 * 60 - 38 * 58, 0, 0])
    predicted = truth.copy()
    predicted[20, 30] = 2  # one pixel: all of it is band, and so are the eight around it
    right, union = count_maps(truth, predicted, 3, (0.005,))
    edge = 40 * 60 - 38 * 58
    assert (right[1].tolist(), union[1].tolist()) == ([edge, 0, 0], [edge + 8, 0, 1])


def test_the_most_classes_that_a_map_holds_are_counted() -> None:
    """255, each a pixel; and the last of them can be wrong."""
    truth = np.arange(255, dtype=np.uint8).reshape(15, 17)
    right, union = count_maps(truth, truth, 255, (0.02, 0.1))
    assert (right == 1).all() and (union == 1).all()
    predicted = truth.copy()
    predicted[-1, -1] = 0
    right, union = count_maps(truth, predicted, 255, (0.02, 0.1))
    assert (right[:, 254].tolist(), union[:, 254].tolist()) == ([0, 0, 0], [1, 1, 1])
    assert (right[:, 0].tolist(), union[:, 0].tolist()) == ([1, 1, 1], [2, 2, 2])


def test_pooling_images_is_adding_up_and_arguments_stay_as_they_are() -> None:
    """In a stream: what is kept of an image is its counts."""
    rng = np.random.default_rng(3)
    pairs = rng.integers(0, 4, (5, 2, 24, 31)).astype(np.uint8)
    pairs.setflags(write=False)
    both = [sum(counts) for counts in zip(*(count_maps(*pair, 4, (0.02,)) for pair in pairs), strict=True)]
    assert both[0].shape == (2, 4) and both[0].dtype == np.int64
    assert int(both[0][0].sum()) == int((pairs[:, 0] == pairs[:, 1]).sum())


def test_other_types_and_widths_out_of_order_are_refused() -> None:
    one = np.zeros((4, 4), np.uint8)
    with pytest.raises(UsageError, match="class maps are uint8, at most 255 classes; found int64"):
        count_maps(one, one.astype(np.int64), 2, (0.02,))
    with pytest.raises(UsageError, match=r"from the smallest to the largest, found \[2, 1\]"):
        count_maps(one, one, 2, (0.4, 0.1))


@pytest.mark.unhurried
def test_more_pixels_than_a_float32_counts_are_counted() -> None:
    """Two to the 24th and one."""
    truth = np.zeros((1, 2**24 + 1), np.uint8)
    right, _ = count_maps(truth, truth, 1, ())
    assert right.tolist() == [[2**24 + 1]]
