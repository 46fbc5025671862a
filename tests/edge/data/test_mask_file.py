"""A mask gives the values that are stored, whatever kind of file it is, or is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.mask_file import decode_mask
from edge.errors import DataError
from tests.support.indexed_png import indexed_png

WHERE = Path("m.png")
VALUES = np.random.default_rng(0).integers(0, 4, size=(5, 8), dtype=np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, size=(5, 8, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_palette_gives_its_indices_and_colours_at_any_depth(depth: int) -> None:
    mask = decode_mask(WHERE, indexed_png(VALUES, depth, bytes([9, 8, 7, 0, 0, 0, 250, 1, 1, 5, 5, 5])))
    assert np.array_equal(mask.pixels, VALUES)
    assert mask.palette is not None
    assert mask.palette.tolist() == [[9, 8, 7], [0, 0, 0], [250, 1, 1], [5, 5, 5]]


def test_a_ramp_of_greys_is_no_palette() -> None:
    ramp = bytes(value for grey in range(4) for value in (grey, grey, grey))
    assert decode_mask(WHERE, indexed_png(VALUES, 2, ramp)).palette is None


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits_gives_its_values(depth: int) -> None:
    values = VALUES % 2**depth
    assert np.array_equal(decode_mask(WHERE, indexed_png(values, depth, None)).pixels, values)


def test_sixteen_bits_are_read_where_every_value_is_one_of_eight() -> None:
    wide = VALUES.astype(np.uint16)
    assert np.array_equal(decode_mask(WHERE, encoded(wide)).pixels, VALUES)
    wide[3, 2] = 65535
    with pytest.raises(DataError, match=r"m\.png: value 65535 at x 2, y 3: class indices are 0 to 255; .*void as 255"):
        decode_mask(WHERE, encoded(wide))


def test_colours_are_rgb_and_an_opaque_alpha_says_nothing() -> None:
    bgr = np.ascontiguousarray(COLOURS[:, :, ::-1])
    assert np.array_equal(decode_mask(WHERE, encoded(bgr)).pixels, COLOURS)
    bgra = np.dstack([bgr, np.full((5, 8), 255, np.uint8)])
    assert np.array_equal(decode_mask(WHERE, encoded(bgra)).pixels, COLOURS)
    bgra[0, 0, 3] = 0
    with pytest.raises(DataError, match="transparent pixels"):
        decode_mask(WHERE, encoded(bgra))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (encoded(VALUES, ".jpg"), "cannot be a JPEG .* save it as PNG"),
        (encoded(COLOURS, ".webp"), "cannot be a WebP"),
        (encoded(VALUES.astype(np.float32), ".tiff"), "whole numbers, found float32"),
        (encoded(COLOURS.astype(np.uint16)), "one channel, or 3 of 8 bits, found 3 x uint16"),
    ],
)
def test_what_could_have_changed_values_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=rf"m\.png: .*{problem}"):
        decode_mask(WHERE, data)
