"""What differs from the float parent at edges and away from them, without labels."""

import numpy as np
import pytest

from edge.evaluation.boundaries import VOID, boundary_iou
from edge.evaluation.boundary_fidelity import BoundaryFidelity


def halves(column: int) -> np.ndarray:
    """Class 0 left of a column, 1 from it on."""
    class_map = np.zeros((100, 200), np.uint8)
    class_map[:, column:] = 1
    return class_map


def test_equal_maps_are_wholly_alike_and_nothing_changed() -> None:
    likeness = BoundaryFidelity()
    likeness.add(halves(90), halves(90))
    found = likeness.figures()
    assert (found["parent_iou"], found["parent_boundary_iou"], found["changed_share"]) == (1.0, 1.0, 0.0)
    assert found["changed_within_px"] == {"1": None, "2": None, "4": None}
    assert found["pixels_within_px"] == {"1": 0.01, "2": 0.02, "4": 0.04}
    assert likeness.line == "areas 100.00% and boundaries 100.00% as the parent's"


def test_an_edge_that_moved_by_three_pixels_costs_boundaries_more_than_areas() -> None:
    likeness = BoundaryFidelity()
    likeness.add(halves(90), halves(93))
    found = likeness.figures()
    expected = [boundary_iou(halves(93) == index, halves(90) == index, 0.005) for index in (0, 1)]
    assert found["parent_boundary_iou"] == pytest.approx(np.mean(expected))
    assert found["parent_iou"] == pytest.approx((90 / 93 + 107 / 110) / 2)
    assert found["parent_boundary_iou"] < 0.7 < 0.97 < found["parent_iou"]
    assert found["changed_share"] == 0.015
    assert found["changed_within_px"] == {"1": pytest.approx(1 / 3), "2": pytest.approx(2 / 3), "4": 1.0}
    assert "of the 1.50% of pixels changed, 33.3% within 1, 66.7% within 2, 100.0% within 4 px" in likeness.line


def test_a_change_far_from_every_boundary_is_told_as_such() -> None:
    changed = halves(90)
    changed[40:50, 150:160] = 0
    likeness = BoundaryFidelity()
    likeness.add(halves(90), changed)
    assert likeness.figures()["changed_within_px"] == {"1": 0.0, "2": 0.0, "4": 0.0}


def test_what_neither_saw_does_not_count() -> None:
    likeness = BoundaryFidelity()
    likeness.add(np.full((9, 9), VOID, np.uint8), np.zeros((9, 9), np.uint8))
    assert likeness.line == "" and likeness.figures()["changed_share"] is None
