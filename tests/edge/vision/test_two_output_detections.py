"""Two outputs of a foreign detector, and what a plain reference by loops finds in them."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import UsageError
from edge.port import Port, dequantize
from edge.vision.anchors import anchor_boxes, grid_of, strided_grid
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Detections, Selection
from edge.vision.plain_boxes import corners
from edge.vision.score_columns import ScoreColumns, Values
from edge.vision.two_output_detections import Anchored, Plain, TwoOutputs, two_output_detections

Array = npt.NDArray[Any]
CODER = BoxCoder(y_scale=10, x_scale=10, height_scale=5, width_scale=5)


def overlap(a: Array, b: Array) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(wide, 0.0) * max(high, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return inside / (areas[0] + areas[1] - inside) if inside else 0.0


def by_loops(boxes: Array, probabilities: Array, background: int | None, selection: Selection) -> list[tuple[Any, ...]]:
    """The found boxes, scores and labels: every pair of row and class, the best first, those that overlap it gone."""
    classes = [column for column in range(probabilities.shape[1]) if column != background]
    found = [
        (float(row[column]), label, box)
        for box, row in zip(boxes, probabilities, strict=True)
        for label, column in enumerate(classes)
        if row[column] >= selection.threshold
    ]
    kept: list[tuple[float, int, Array]] = []
    for score, label, box in sorted(found, key=lambda one: -one[0]):
        if all(label != other or overlap(box, better) <= selection.overlap for _, other, better in kept):
            kept.append((score, label, box))
    return [(score, label, box.clip(0, 1)) for score, label, box in kept[: selection.most]]


def assert_same(found: Detections, expected: list[tuple[Any, ...]]) -> None:
    """Equal scores may stand in any order."""
    assert len(found.scores) == len(expected)
    ours = sorted(
        zip(found.scores, found.labels, found.boxes.tolist(), strict=True), key=lambda one: (-one[0], one[1:])
    )
    theirs = sorted(((s, label, box.tolist()) for s, label, box in expected), key=lambda one: (-one[0], one[1:]))
    np.testing.assert_allclose([one[0] for one in ours], [one[0] for one in theirs], rtol=1e-5)
    assert [one[1] for one in ours] == [one[1] for one in theirs]
    np.testing.assert_allclose([one[2] for one in ours], [one[2] for one in theirs], atol=1e-5)


def softmax(real: Array) -> Array:
    powers = np.exp(real - real.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def port(name: str, shape: tuple[int, ...], dtype: str = "float32", scale: float | None = None, zero: int = 0) -> Port:
    return Port(name=name, shape=shape, dtype=dtype, scale=scale, zero_point=None if scale is None else zero)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("background", [None, 0, 3])
@pytest.mark.parametrize(("values", "exclusive"), [("logits", True), ("logits", False), ("probabilities", True)])
@pytest.mark.parametrize("threshold", [0.05, 0.4, 0.7])
def test_what_reaches_the_threshold_is_what_a_loop_finds(
    dtype: str, background: int | None, values: Values, exclusive: bool, threshold: float
) -> None:
    random = np.random.default_rng(7)
    if dtype == "float32":
        raw = random.normal(0, 3, (40, 4)).astype(np.float32)
        raw = softmax(raw).astype(np.float32) if values == "probabilities" else raw
        told = port("scores", (1, 40, 4))
    else:
        limits = np.iinfo(dtype)
        raw = random.integers(limits.min, limits.max + 1, (40, 4)).astype(dtype)
        scale, zero = (1 / 256, int(limits.min)) if values == "probabilities" else (0.05, int(limits.min) + 120)
        told = port("scores", (1, 40, 4), dtype, scale, zero)
    columns = ScoreColumns(port=told, values=values, exclusive=exclusive, background=background)
    real: Array = dequantize(raw, told.scale, told.zero_point)
    if values == "logits":
        real = softmax(real) if exclusive else (1 / (1 + np.exp(-real)))
    classes = [column for column in range(4) if column != background]
    expected = {
        (row, label): real[row, column]
        for row in range(40)
        for label, column in enumerate(classes)
        if real[row, column] >= np.float32(threshold)
    }
    for table in (raw, np.asfortranarray(raw)):
        rows, labels, scores = columns.reaching(table, threshold)
        found = {(int(r), int(k)): s for r, k, s in zip(rows, labels, scores, strict=True)}
        assert set(found) == set(expected)
        for key, score in found.items():
            assert score == pytest.approx(expected[key], rel=1e-5)


@pytest.mark.parametrize("order", ["yxhw", "xywh"])
def test_codes_of_either_order_and_any_variances_are_decoded_as_a_loop_does(order: Any) -> None:
    """The priors of UltraFace, pixel by pixel: `define_img_size.py` and `convert_locations_to_boxes`."""
    random = np.random.default_rng(2)
    size_hw, strides = (240, 320), (8, 16, 32, 64)
    sizes = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
    grid = strided_grid(size_hw, strides, [[(side, side) for side in found] for found in sizes], clipped=True)
    priors = []
    for stride, sides in zip(strides, sizes, strict=True):
        for j in range(math.ceil(240 / stride)):
            for i in range(math.ceil(320 / stride)):
                centre = ((j + 0.5) / (240 / stride), (i + 0.5) / (320 / stride))
                priors += [(*centre, side / 240, side / 320) for side in sides]
    anchors = anchor_boxes(grid)
    np.testing.assert_allclose(anchors, np.clip(priors, 0, 1), atol=1e-7)
    assert len(anchors) == 4420 and grid_of(grid.plain) == grid
    np.testing.assert_array_equal(anchor_boxes(grid_of(grid.plain)), anchors)
    codes = random.normal(0, 1, (1, 4420, 4)).astype(np.float32)
    scores = softmax(random.normal(0, 2, (4420, 2)) + np.array([4, 0])).astype(np.float32)[None]
    names = {name: codes[0, :, place] for place, name in enumerate(order)}
    prior = dict(zip("yxhw", anchors.T.astype(np.float64), strict=True))
    centre_y, centre_x = (names[k] * 0.1 * prior[side] + prior[k] for k, side in (("y", "h"), ("x", "w")))
    high, wide = (np.exp(names[k] * 0.2) * prior[k] for k in "hw")
    boxes = np.stack([centre_x - wide / 2, centre_y - high / 2, centre_x + wide / 2, centre_y + high / 2], axis=1)
    selection = Selection(threshold=0.5, overlap=0.3, most=200)
    columns = ScoreColumns(port=port("s", scores.shape), values="probabilities", exclusive=True, background=0)
    decode = Anchored(anchors=anchors, coder=CODER, order=order)
    decoder = TwoOutputs(boxes=port("b", codes.shape), scores=columns, decode=decode)
    found = two_output_detections(codes, scores, decoder, selection)
    assert_same(found, by_loops(boxes, scores[0], 0, selection))
    assert 20 < len(found.scores) <= 200


@pytest.mark.parametrize("form", ["cxcywh", "xywh", "xyxy", "yxyx"])
@pytest.mark.parametrize("unit", ["pixels", "shares"])
def test_boxes_of_every_form_become_the_same_corners(form: Any, unit: Any) -> None:
    random = np.random.default_rng(3)
    low = random.uniform(0, 0.5, (30, 2))
    whole = np.concatenate([low, low + random.uniform(0.05, 0.4, (30, 2))], axis=1)
    extent = (320.0, 240.0) if unit == "pixels" else (1.0, 1.0)
    by_unit = whole * [*extent, *extent]
    x0, y0, x1, y1 = by_unit.T
    told = {
        "cxcywh": [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0],
        "xywh": [x0, y0, x1 - x0, y1 - y0],
        "xyxy": [x0, y0, x1, y1],
        "yxyx": [y0, x0, y1, x1],
    }[form]
    values = np.stack(told, axis=1).astype(np.float32)
    np.testing.assert_allclose(corners(values, form, extent), whole, atol=1e-6)
    scores = random.uniform(0, 1, (1, 30, 3)).astype(np.float32)
    columns = ScoreColumns(port=port("s", scores.shape), values="probabilities", exclusive=False, background=None)
    decode = Plain(form=form, extent_wh=extent)
    decoder = TwoOutputs(boxes=port("b", (1, 30, 4)), scores=columns, decode=decode)
    selection = Selection(threshold=0.6, overlap=0.4)
    found = two_output_detections(values[None], scores, decoder, selection)
    assert_same(found, by_loops(whole, scores[0], None, selection))


def test_outputs_that_do_not_belong_together_are_refused() -> None:
    columns = ScoreColumns(port=port("s", (1, 9, 2)), values="logits", exclusive=False, background=0)
    plain = Plain(form="xyxy", extent_wh=(1, 1))
    with pytest.raises(UsageError, match=r"for 8 boxes; expected \(1, 8, columns\)"):
        TwoOutputs(boxes=port("b", (1, 8, 4)), scores=columns, decode=plain)
    with pytest.raises(UsageError, match=r"boxes of shape \(1, 9, 5\)"):
        TwoOutputs(boxes=port("b", (1, 9, 5)), scores=columns, decode=plain)
    anchors = np.zeros((8, 4), np.float32)
    with pytest.raises(UsageError, match="8 anchors for 9 boxes"):
        TwoOutputs(boxes=port("b", (1, 9, 4)), scores=columns, decode=Anchored(anchors=anchors, coder=CODER))
    with pytest.raises(UsageError, match="strides"):
        strided_grid((8, 8), (8, 16), [[(1, 1)]])
