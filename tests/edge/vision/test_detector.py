"""Outputs to boxes by what a manifest says: every meaning of scores, and outputs that were selected already."""

from dataclasses import replace

import numpy as np
import pytest

from edge.port import DescribedPort, dequantize
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.box_coder import BoxCoder, decode_boxes
from edge.vision.detections import Detections, Selection
from edge.vision.detector import Detector, detector_of, found_boxes
from edge.vision.postprocess import sigmoid, softmax
from edge.vision.suppression import suppressed

GRID = ssd_grid([(5, 5), (3, 3)])
DETECTOR = Detector(form="ssd", anchors=GRID, coder=BoxCoder(), background=0)
SELECTION = Selection(threshold=0.4, overlap=0.5, most=20)
CODES, SCORES = (0.05, 3), (0.07, -11)


def ports(meaning: str, scores: str, columns: int, *, integers: bool) -> tuple[DescribedPort, DescribedPort]:
    def port(name: str, shape: tuple[int, ...], told: str, form: tuple[float, int], kind: str | None) -> DescribedPort:
        scale, zero_point = form if integers else (None, None)
        dtype = "int8" if integers else "float32"
        return DescribedPort(
            name=name,
            shape=shape,
            dtype=dtype,
            scale=scale,
            zero_point=zero_point,
            layout="nac",
            meaning=told,
            scores=kind,
        )

    form = SCORES if meaning == "logits" else (1 / 256, -128)
    count = GRID.count
    return (
        port("codes", (1, count, 4), "box_codes", CODES, None),
        port("scores", (1, count, columns), meaning, form, scores),
    )


def by_hand(outputs: list[np.ndarray], told: tuple[DescribedPort, ...], background: int | None) -> Detections:
    """Everything dequantized and decoded, class by class: the definition, without a shortcut."""
    codes, scores = (
        dequantize(array[0], port.scale, port.zero_point) for array, port in zip(outputs, told, strict=True)
    )
    if told[1].meaning == "logits":
        scores = sigmoid(scores) if told[1].scores == "independent" else softmax(scores)
    if background is not None:
        scores = np.delete(scores, background, axis=1)
    boxes = decode_boxes(codes, anchor_boxes(GRID), BoxCoder())
    rows, labels = np.nonzero(scores >= np.float32(SELECTION.threshold))
    kept = suppressed(boxes[rows], scores[rows, labels], labels, SELECTION.overlap)[: SELECTION.most]
    rows, labels = rows[kept], labels[kept]
    return Detections(boxes=boxes[rows].clip(0, 1), scores=scores[rows, labels], labels=labels)


@pytest.mark.parametrize("background", [0, 2, None])
@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize(
    ("meaning", "scores"),
    [("logits", "independent"), ("logits", "exclusive"), ("probabilities", "independent")],
)
def test_boxes_are_those_of_the_definition(meaning: str, scores: str, integers: bool, background: int | None) -> None:
    rng = np.random.default_rng(7)
    told = ports(meaning, scores, 3, integers=integers)
    outputs = [rng.integers(-128, 128, port.shape).astype(np.int8) for port in told]
    if not integers:
        form = SCORES if meaning == "logits" else (1 / 256, -128)
        outputs = [dequantize(array, *pair) for array, pair in zip(outputs, (CODES, form), strict=True)]
    found = found_boxes(outputs, told, replace(DETECTOR, background=background), SELECTION)
    expected = by_hand(outputs, told, background)
    assert len(found.scores) == SELECTION.most
    assert np.array_equal(found.scores, expected.scores)
    order = [np.lexsort((one.labels, *one.boxes.T, -one.scores)) for one in (found, expected)]
    for one, other in ((found.boxes, expected.boxes), (found.labels, expected.labels)):
        assert np.array_equal(one[order[0]], other[order[1]])


def test_plain_data_make_the_same_detector() -> None:
    plain = {
        "form": "ssd",
        "anchors": GRID.plain,
        "coder": {"y_scale": 10.0, "x_scale": 10.0, "height_scale": 5.0, "width_scale": 5.0},
        "background": 0,
        "threshold": 0.3,
        "overlap": 0.6,
        "most": 100,
        "most_candidates": 1000,
        "class_aware": True,
    }
    assert detector_of(plain) == DETECTOR


def test_selected_boxes_are_taken_down_to_the_threshold() -> None:
    meanings = {"boxes": (1, 3, 4), "classes": (1, 3), "scores": (1, 3), "count": (1,)}
    told = tuple(
        DescribedPort(name=name, shape=shape, dtype="float32", layout="flat", meaning=name)
        for name, shape in meanings.items()
    )
    outputs = [
        np.array([[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 1.5, 0.9], [0, 0, 1, 1]]], np.float32),
        np.array([[1, 0, 1]], np.float32),
        np.array([[0.45, 0.9, 0.8]], np.float32),
        np.array([2], np.float32),
    ]
    found = found_boxes(outputs, told, Detector(form="postprocess"), Selection(threshold=0.4))
    assert found.labels.tolist() == [0, 1]
    assert np.allclose(found.boxes, [[0.5, 0.5, 0.9, 1.0], [0.2, 0.1, 0.4, 0.3]])
    best = found_boxes(outputs, told, Detector(form="postprocess"), Selection(threshold=0.5))
    assert best.scores.tolist() == pytest.approx([0.9])
