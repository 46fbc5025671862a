"""The section `detection` of a manifest: strict, held to the files, and enough for whoever has no code of ours."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge.artifact.detection import Detection, detection_of, detection_problem
from edge.artifact.model_file import TensorInfo
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection

GRID = ssd_grid([(4, 4), (2, 2)])
SECTION = detection_of(GRID, BoxCoder(), Selection())


def heads(count: int = GRID.count, columns: int = 3, **changes: Any) -> tuple[TensorInfo, TensorInfo]:
    form: dict[str, Any] = {"dtype": "int8", "layout": "nac", "scale": 0.1, "zero_point": 3}
    codes = TensorInfo(name="codes", shape=(1, count, 4), meaning="box_codes", **form)
    told = {"meaning": "logits", "scores": "independent", "shape": (1, count, columns), **form, **changes}
    return codes, TensorInfo(name="scores", **told)


def test_it_survives_json_and_makes_the_same_detector() -> None:
    again = Detection.model_validate_json(SECTION.model_dump_json())
    assert again == SECTION
    assert again.detector.anchors == GRID and again.detector.coder == BoxCoder()
    assert again.detector.selection == Selection() and again.detector.background == 0


def test_who_has_no_code_of_ours_regenerates_the_anchors_from_it() -> None:
    """Ten lines of plain Python on the JSON, and the hash says whether they are right."""
    plain = SECTION.model_dump(mode="json")["anchors"]
    rows = [
        ((i + 0.5) / told["rows"], (j + 0.5) / told["columns"], height, width)
        for told in plain["maps"]
        for i in range(told["rows"])
        for j in range(told["columns"])
        for height, width in told["sizes_hw"]
    ]
    anchors = np.array(rows).astype("<f4")
    assert len(rows) == plain["count"]
    assert hashlib.sha256(anchors.tobytes()).hexdigest() == plain["sha256"]
    assert np.array_equal(anchors, anchor_boxes(GRID))


def _without_coder(plain: dict[str, Any]) -> None:
    plain["coder"] = None


def _other_size(plain: dict[str, Any]) -> None:
    plain["anchors"]["maps"][0]["sizes_hw"][0][0] *= 1.01


def _other_count(plain: dict[str, Any]) -> None:
    plain["anchors"]["count"] += 1


def _unknown_form(plain: dict[str, Any]) -> None:
    plain["form"] = "sdd"


def _threshold(plain: dict[str, Any]) -> None:
    plain["threshold"] = 1.0


def _few_candidates(plain: dict[str, Any]) -> None:
    plain["most_candidates"] = 99


def _compared_for_hours(plain: dict[str, Any]) -> None:
    plain["most_candidates"] = 10**6


def _many(plain: dict[str, Any]) -> None:
    told = plain["anchors"]["maps"][0]
    told["rows"] = told["columns"] = 4096


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_without_coder, "form 'ssd' needs anchors and coder"),
        (_other_size, "anchors have sha256"),
        (_other_count, "the maps make 72 anchors, not 73"),
        (_unknown_form, "form"),
        (_threshold, "threshold"),
        (_few_candidates, "100 boxes of 99 candidates"),
        (_many, "are possible"),
        (_compared_for_hours, "most_candidates\n.*less than or equal to 10000"),
    ],
)
def test_what_does_not_hold_together_is_refused(change: Callable[[dict[str, Any]], None], problem: str) -> None:
    plain = SECTION.model_dump(mode="json")
    change(plain)
    with pytest.raises(ValidationError, match=problem):
        Detection.model_validate(plain)


def test_two_outputs_of_the_right_shapes_are_a_detector_in_any_order() -> None:
    assert detection_problem(SECTION, 2, heads()) is None
    assert detection_problem(SECTION, 2, heads()[::-1]) is None
    assert detection_problem(SECTION, 2, heads(meaning="probabilities")) is None


@pytest.mark.parametrize(
    ("outputs", "names", "problem"),
    [
        (
            heads(71),
            2,
            r"output 'codes' is \(1, 71, 4\); 72 anchors and 2 classes and the background make \(1, 72, 4\)",
        ),
        (heads(columns=4), 2, r"output 'scores' is \(1, 72, 4\); .* make \(1, 72, 3\)"),
        (heads(), 3, r"output 'scores' is \(1, 72, 3\); 72 anchors and 3 classes"),
        (heads(scores=None), 2, "exclusive or independent"),
        (heads(scale=None, zero_point=None), 2, "output 'scores' is int8 without a scale"),
        (heads()[::-1][:1], 2, "outputs mean 'logits'; a detector of the form 'ssd' ends in"),
        (heads()[:1], 2, "outputs mean 'box_codes'; a detector of the form 'ssd' ends in"),
    ],
)
def test_other_outputs_are_refused(outputs: tuple[TensorInfo, ...], names: int, problem: str) -> None:
    found = detection_problem(SECTION, names, outputs)
    assert found is not None
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(found)


def test_a_detector_without_the_section_is_refused() -> None:
    assert "without the section 'detection'" in str(detection_problem(None, 2, heads()))


def four(most: int = 5, **changes: Any) -> tuple[TensorInfo, ...]:
    shapes = {"boxes": (1, most, 4), "classes": (1, most), "scores": (1, most), "count": (1,), **changes}
    return tuple(
        TensorInfo(name=meaning, shape=shape, dtype="float32", layout="flat", meaning=meaning)  # type: ignore[arg-type]
        for meaning, shape in shapes.items()
    )


def test_four_outputs_of_one_length_are_a_detector_that_selects_itself() -> None:
    section = Detection(form="postprocess", threshold=0.3, overlap=0.6, most=5)
    assert detection_problem(section, 2, four()) is None
    assert detection_problem(SECTION, 2, four()) is None  # beside raw heads in a source file
    assert "output 'scores' is (1, 4)" in str(detection_problem(section, 2, four(scores=(1, 4))))
    assert "ends in boxes, classes, scores, count" in str(detection_problem(section, 2, heads()))
