"""From raw outputs to boxes: the integer threshold loses and adds nothing, and boxes find the way back to the frame."""

import math
from dataclasses import replace

import numpy as np
import pytest

from edge.errors import UsageError
from edge.port import Port, dequantize
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.box_coder import BoxCoder, decode_boxes
from edge.vision.detections import Detections, Selection, chosen, in_frame
from edge.vision.pixels import Geometry, resize
from tests.edge.vision.test_suppression import by_definition
from tests.support.ssd_heads import Heads

ANCHORS = anchor_boxes(ssd_grid([(6, 6), (3, 3), (2, 2)]))

COLUMNS = 5
SCALES: dict[str, tuple[float | None, int | None, float | None, int | None]] = {
    "float32": (None, None, None, None),
    "int8": (0.07, 11, 0.11, 20),
    "uint8": (0.07, 139, 0.11, 148),
    "int16": (0.0003, 0, 0.0004, 0),
}


def decoder(dtype: str) -> Heads:
    code_scale, code_zero, logit_scale, logit_zero = SCALES[dtype]
    count = len(ANCHORS)
    return Heads(
        codes=Port(name="c", shape=(1, count, 4), dtype=dtype, scale=code_scale, zero_point=code_zero),
        logits=Port(name="l", shape=(1, count, COLUMNS), dtype=dtype, scale=logit_scale, zero_point=logit_zero),
        anchors=ANCHORS,
        coder=BoxCoder(),
    )


def outputs(told: Heads, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    parts = []
    for port, spread, shift in ((told.codes, 3.0, 0.0), (told.logits, 3.0, -4.0)):
        real = rng.normal(shift, spread, port.shape)
        if port.scale is None or port.zero_point is None:
            parts.append(real.astype(np.float32))
        else:
            limits = np.iinfo(port.dtype)
            levels = np.rint(real / port.scale) + port.zero_point
            parts.append(levels.clip(limits.min, limits.max).astype(port.dtype))
    return parts[0], parts[1]


def plainly(codes: np.ndarray, logits: np.ndarray, told: Heads, chosen: Selection) -> Detections:
    """Everything dequantized, everything decoded, then chosen: what must come out."""
    real = dequantize(logits[0], told.logits.scale, told.logits.zero_point)
    scores = 1 / (1 + np.exp(-real.astype(np.float64)))
    boxes = decode_boxes(dequantize(codes[0], told.codes.scale, told.codes.zero_point), told.anchors, told.coder)
    rows, labels = np.nonzero(scores[:, 1:] >= chosen.threshold)
    kept = by_definition(boxes[rows], scores[rows, labels + 1], labels, chosen.overlap)[: chosen.most]
    rows, labels = rows[kept], labels[kept]
    found = scores[rows, labels + 1].astype(np.float32)
    return Detections(boxes=boxes[rows].clip(0, 1), scores=found, labels=labels)


@pytest.mark.parametrize("dtype", SCALES)
@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.9])
def test_only_survivors_are_decoded_and_nothing_changes(dtype: str, threshold: float) -> None:
    told, chosen = decoder(dtype), Selection(threshold=threshold)
    some = 0
    for seed in range(5):
        codes, logits = outputs(told, seed)
        found, expected = told.found(codes, logits, chosen), plainly(codes, logits, told, chosen)
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        some += len(found.labels)
    assert some > 5


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_the_integer_threshold_is_where_the_probability_gets_there(dtype: str) -> None:
    told = decoder(dtype)
    limits = np.iinfo(dtype)
    for threshold in (1e-9, 0.001, 0.3, 0.5, 0.77):
        least = told.integer_threshold(threshold)
        assert least is not None
        for level, reaches in ((least, True), (least - 1, False)):
            if level >= limits.min:
                real = (level - told.logits.zero_point) * told.logits.scale
                assert (1 / (1 + math.exp(-real)) >= threshold) == reaches
    assert told.integer_threshold(1 - 1e-12) is None or dtype == "int16"


def test_a_threshold_that_no_integer_reaches_finds_nothing() -> None:
    told = decoder("int8")
    told = replace_logits(told, scale=0.001, zero_point=0)
    codes, logits = outputs(told, 0)
    found = told.found(codes, logits, Selection(threshold=0.9))
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)


def replace_logits(told: Heads, **changes: object) -> Heads:
    port = replace(told.logits, **changes)
    return Heads(codes=told.codes, logits=port, anchors=told.anchors, coder=told.coder)


def test_the_background_is_no_class() -> None:
    told = decoder("float32")
    codes, logits = outputs(told, 1)
    logits[:] = -9
    logits[0, :, 0] = 9
    assert not len(told.found(codes, logits, Selection()).labels)
    logits[0, 7, 1] = 3
    assert told.found(codes, logits, Selection()).labels.tolist() == [0]


def test_no_more_than_asked_for_and_the_best_of_them() -> None:
    told = decoder("float32")
    codes, logits = outputs(told, 2)
    every = told.found(codes, logits, Selection(threshold=0.01, overlap=1.0, most=900, most_candidates=900))
    few = told.found(codes, logits, Selection(threshold=0.01, overlap=1.0, most=7, most_candidates=9))
    assert len(every.scores) > 50 and (np.diff(every.scores) <= 0).all()
    np.testing.assert_array_equal(few.scores, every.scores[:7])


def test_a_box_without_an_end_is_none() -> None:
    told = decoder("float32")
    codes, logits = outputs(told, 3)
    logits[:] = -9
    logits[0, [3, 5], 2] = 3
    codes[0, 3, 2] = 5000
    assert len(told.found(codes, logits, Selection()).labels) == 1


def test_boxes_in_the_frame_are_where_the_pixels_came_from() -> None:
    """A bright rectangle is found in the model's input; its box there comes back as the rectangle in the frame."""
    frame = np.zeros((120, 200, 3), np.uint8)
    frame[30:90, 60:140] = 255
    for fit, fraction in (("stretch", 1.0), ("letterbox", 1.0), ("crop", 0.9)):
        geometry = Geometry(
            colour_order="rgb", height=80, width=80, interpolation="bilinear", fit=fit, crop_fraction=fraction,
            mean=(0.0,) * 3, std=(1.0,) * 3,
        )  # fmt: skip
        rows, columns = np.nonzero(resize(frame, geometry)[:, :, 0] > 127)
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32) / 80
        found = Detections(boxes=box, scores=np.ones(1, np.float32), labels=np.zeros(1, np.int64))
        seen = in_frame(found, (120, 200), geometry)
        np.testing.assert_allclose(seen.boxes, [[60, 30, 140, 90]], atol=2.6)


def test_boxes_in_the_border_of_a_letterbox_are_dropped() -> None:
    geometry = Geometry(
        colour_order="rgb", height=100, width=100, interpolation="bilinear", fit="letterbox", crop_fraction=1.0,
        mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    boxes = np.array([[0.1, 0.0, 0.4, 0.2], [0.1, 0.2, 0.4, 0.5]], np.float32)
    found = Detections(boxes=boxes, scores=np.array([0.9, 0.8], np.float32), labels=np.array([3, 4]))
    seen = in_frame(found, (50, 100), geometry)  # the picture is at rows 25 to 75
    assert seen.labels.tolist() == [4]
    np.testing.assert_allclose(seen.boxes, [[10, 0, 40, 25]], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 0.0}, "threshold 0.0"),
        ({"threshold": 1.0}, "threshold 1.0"),
        ({"overlap": 0.0}, "overlap 0.0"),
        ({"overlap": 1.5}, "overlap 1.5"),
        ({"most": 0}, "0 of 1000"),
        ({"most_candidates": 50}, "100 of 50"),
        ({"most": 10_001, "most_candidates": 10_001}, "10001 boxes of 10001 candidates; 10000 are possible"),
    ],
)
def test_a_selection_that_cannot_hold_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Selection(**changes)


def test_outputs_of_another_shape_are_refused() -> None:
    count, told = len(ANCHORS), decoder("int8")
    for shape in ((1, 5, 4), (count, COLUMNS)):
        with pytest.raises(UsageError, match=rf"scores of shape .* for {count} boxes"):
            _ = replace_logits(told, shape=shape).decoder
    with pytest.raises(UsageError, match=rf"boxes of shape \(1, {count}, 5\)"):
        _ = replace(told, codes=replace(told.codes, shape=(1, count, 5))).decoder
    with pytest.raises(UsageError, match=f"3 anchors for {count} boxes"):
        _ = replace(told, anchors=ANCHORS[:3]).decoder


@pytest.mark.parametrize(("class_aware", "labels"), [(True, [0, 1]), (False, [0])])
def test_boxes_of_different_classes_meet_only_where_classes_do_not_part_them(
    class_aware: bool, labels: list[int]
) -> None:
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.49]], np.float32)
    found = chosen(
        np.arange(2),
        np.arange(2),
        np.array([0.9, 0.8], np.float32),
        lambda rows: boxes[rows],
        Selection(class_aware=class_aware),
    )
    assert found.labels.tolist() == labels
