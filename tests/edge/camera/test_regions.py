"""A region is the same part of the picture at every size."""

import math

import cv2
import numpy as np
import pytest

from edge.camera.regions import WHOLE, Region, class_share
from edge.errors import UsageError

TRIANGLE = Region(((0.1, 0.1), (0.9, 0.1), (0.5, 0.9)))


def test_a_mask_has_the_area_of_its_polygon() -> None:
    """Shoelace: half of base times height; an L, which is concave, is three quarters of its square."""
    assert TRIANGLE.mask((480, 640)).mean() == pytest.approx(0.5 * 0.8 * 0.8, rel=0.01)
    corner = Region(((0, 0), (1, 0), (1, 0.5), (0.5, 0.5), (0.5, 1), (0, 1)))
    assert corner.mask((10, 10)).sum() == 75
    assert WHOLE.mask((7, 5)).all()


def test_a_mask_is_that_of_opencv_but_for_its_edge() -> None:
    corners = np.array([[x * 640 - 0.5, y * 480 - 0.5] for x, y in TRIANGLE.corners])
    theirs = cv2.fillPoly(np.zeros((480, 640), np.uint8), [corners.round().astype(np.int32)], 1).astype(bool)
    differ = theirs ^ TRIANGLE.mask((480, 640))
    edge = cv2.dilate(theirs.astype(np.uint8), np.ones((5, 5))) - cv2.erode(theirs.astype(np.uint8), np.ones((5, 5)))
    assert not (differ & (edge == 0)).any()


def test_the_share_of_classes_counts_what_the_model_saw() -> None:
    class_map = np.array([[0, 1, 1, 2], [0, 0, 255, 255]], np.uint8)
    left = Region(((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
    assert class_share(class_map, [1]) == pytest.approx(2 / 6)
    assert class_share(class_map, [0, 2]) == pytest.approx(4 / 6)
    assert class_share(class_map, [0, 0], left) == 0.75
    assert math.isnan(class_share(np.full((4, 4), 255, np.uint8), [0]))


def test_the_share_is_the_same_at_every_size_of_the_map() -> None:
    small = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    large = small.repeat(8, axis=0).repeat(8, axis=1)
    assert class_share(large, [1], TRIANGLE) == pytest.approx(class_share(small, [1], TRIANGLE), abs=0.03)


@pytest.mark.parametrize("corners", [((0, 0), (1, 1)), ((0, 0), (1, 0), (0.5, 1.1))])
def test_what_is_no_region_is_refused(corners: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(UsageError):
        Region(corners)
