"""The operator's two modes, and its four outputs as detections (equal to LiteRT's: see tests/converters/tflite)."""

import numpy as np

from edge.vision.anchors import anchor_boxes, ssd_grid
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
