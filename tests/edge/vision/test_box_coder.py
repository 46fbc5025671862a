"""Box codes: the formula, number by number, and what is refused."""

import math

import numpy as np
import pytest

from edge.errors import UsageError
from edge.vision.box_coder import BoxCoder, decode_boxes

CODER = BoxCoder()


def test_decoding_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    codes, anchors = rng.normal(size=(50, 4)) * 3, rng.uniform(0.05, 1, (50, 4))
    coder = BoxCoder(y_scale=9, x_scale=11, height_scale=4, width_scale=6)
    found = decode_boxes(codes.astype(np.float32), anchors.astype(np.float32), coder)
    for box, (ty, tx, th, tw), (cy, cx, h, w) in zip(found, codes, anchors, strict=True):
        y, x, high, wide = ty / 9 * h + cy, tx / 11 * w + cx, math.exp(th / 4) * h, math.exp(tw / 6) * w
        expected = [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
        np.testing.assert_allclose(box, expected, rtol=1e-5, atol=1e-5)


def test_a_code_of_zeros_is_the_anchor() -> None:
    anchors = np.array([[0.5, 0.25, 0.5, 0.25]], np.float32)
    boxes = decode_boxes(np.zeros((1, 4), np.float32), anchors, CODER)
    np.testing.assert_array_equal(boxes, [[0.125, 0.25, 0.375, 0.75]])


def test_a_side_beyond_float32_is_infinite_and_warns_of_nothing() -> None:
    boxes = decode_boxes(np.array([[0, 0, 5000, 0]], np.float32), np.full((1, 4), 0.5, np.float32), CODER)
    assert np.isinf(boxes[0, [1, 3]]).all() and np.isfinite(boxes[0, [0, 2]]).all()


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_factor_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(UsageError, match="its four factors must be above 0"):
        BoxCoder(x_scale=scale)
