"""The operator's two modes, and its four outputs as detections (equal to LiteRT's: see tests/converters/tflite)."""

from dataclasses import replace

import numpy as np
import pytest

from edge.errors import EngineError
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.four_outputs import FourOutputs, share_apart
from edge.vision.tflite_detections import PostProcess, post_process

ANCHORS = anchor_boxes(ssd_grid([(3, 3), (1, 1)]))


def one_place(**options: object) -> tuple[list[int], list[float], np.ndarray]:
    """Two classes at one anchor, one of them at another anchor of the same place too, and one far from them."""
    probabilities = np.zeros((1, len(ANCHORS), 4), np.float32)
    probabilities[0, 12, [1, 2]] = 0.9, 0.8  # the middle place's square
    probabilities[0, 28, 2] = 0.7
    probabilities[0, 0, 3] = 0.6
    codes = np.zeros((1, len(ANCHORS), 4), np.float32)
    found = post_process(codes, probabilities, ANCHORS, PostProcess(classes=3, **options)).detections
    return found.labels.tolist(), [round(score, 3) for score in found.scores.tolist()], found.boxes


def test_the_regular_mode_keeps_both_classes_of_a_place() -> None:
    labels, scores, _ = one_place(regular=True)
    assert (labels, scores) == ([0, 1, 1, 2], [0.9, 0.8, 0.7, 0.6])


def test_the_fast_mode_loses_the_second_class_of_an_anchor() -> None:
    labels, scores, _ = one_place(regular=False)
    assert (labels, scores) == ([0, 1, 2], [0.9, 0.7, 0.6])


def test_the_fast_mode_suppresses_other_classes_too() -> None:
    labels, _, _ = one_place(regular=False, overlap=0.01)
    assert labels == [0, 2]


def test_boxes_are_x_first_and_clipped() -> None:
    _, _, boxes = one_place(regular=True)
    np.testing.assert_allclose(boxes[0], [0.45, 0.45, 0.55, 0.55], atol=1e-6)
    assert boxes.min() >= 0 and boxes.max() <= 1
    np.testing.assert_allclose(boxes[2], [0, 0.5 - 0.475 / 2**0.5, 1, 0.5 + 0.475 / 2**0.5], atol=1e-6)  # ratio 2


def test_no_more_than_asked_for() -> None:
    assert one_place(regular=True, most=2)[0] == [0, 1]
    assert one_place(regular=True, per_class=1, overlap=1.0)[1] == [0.9, 0.8, 0.6]


def answer(boxes: list[list[float]], classes: list[int], scores: list[float], most: int = 4) -> FourOutputs:
    """The operator's outputs for what was found."""
    made = FourOutputs(
        boxes=np.zeros((1, most, 4), np.float32),
        classes=np.zeros((1, most), np.float32),
        scores=np.zeros((1, most), np.float32),
        count=np.array([len(scores)], np.float32),
    )
    for row, (box, label, score) in enumerate(zip(boxes, classes, scores, strict=True)):
        made.boxes[0, row], made.classes[0, row], made.scores[0, row] = box, label, score
    return made


TWO = answer([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0, 1], [0.75, 0.25])


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (TWO, 0.0),
        (answer([[0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5]], [1, 0], [0.25, 0.75]), 0.0),  # in another order
        (answer([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0, 0], [0.75, 0.25]), 0.25),  # one of another class
        (answer([[0, 0, 0.5, 0.5]], [0], [0.75]), 1 - 1.5 / 1.75),  # one is missing
        (
            answer([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0, 1], [0.5, 0.25]),
            1 - 1.5 / 1.75,
        ),  # a score of a quarter less
        (answer([[0, 0, 0.5, 0.2], [0.5, 0.5, 1, 1]], [0, 1], [0.75, 0.25]), 0.75),  # overlaps by 0.4
        (answer([[0, 0, 0.5, 0.5]] * 2, [0, 0], [0.75, 0.75]), 1 - 1.5 / 2.5),  # one counterpart for two
        (answer([], [], []), 1.0),
        (answer([[0, 0, np.nan, 0.5]], [0], [0.75]), np.inf),
        (answer([], [], [], most=5), np.inf),
    ],
)
def test_answers_are_apart_by_the_share_of_scores_without_a_counterpart(other: FourOutputs, share: float) -> None:
    assert share_apart(TWO, other) == pytest.approx(share, abs=1e-7)


def test_two_empty_answers_are_equal() -> None:
    assert share_apart(answer([], [], []), answer([], [], [])) == 0.0


@pytest.mark.parametrize(("count", "rows"), [(0, 0), (3, 3), (200, 4)])
def test_no_more_is_found_than_there_are_rows(count: float, rows: int) -> None:
    four = replace(answer([], [], []), count=np.array([count], np.float32))
    found = four.detections
    assert (len(found.boxes), len(found.scores), len(found.labels)) == (rows, rows, rows)


@pytest.mark.parametrize("count", [np.nan, np.inf, -3])
def test_a_count_that_is_none_is_refused(count: float) -> None:
    """Of a file of somebody's: any operator may end it."""
    with pytest.raises(EngineError, match=f"it found {count:g} boxes"):
        _ = replace(answer([], [], []), count=np.array([count], np.float32)).detections


def test_classes_that_are_none_are_told_from_those_that_are() -> None:
    four = replace(answer([], [], []), classes=np.array([[np.nan, 3e9, -1, 2]], np.float32), count=np.array([4.0]))
    assert four.detections.labels.tolist() == [-1, -1, -1, 2]
