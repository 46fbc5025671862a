"""The markers of a JPEG say whether it is whole, also where its decoder fills in what it lacks."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.decode import decode_image
from edge.data.jpeg import MOST_SCANS, JpegFile, read_jpeg
from edge.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, size=(40, 56, 3), dtype=np.uint8)
END = b"\xff\xd9"


def jpeg(pixels: np.ndarray = PIXELS, *, progressive: bool = False, restart: int = 0) -> bytes:
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[:, :, 0], np.full((40, 56, 3), 128, np.uint8)])
def test_a_whole_file_is_read(pixels: np.ndarray, progressive: bool) -> None:
    data = jpeg(pixels, progressive=progressive)
    assert read_jpeg(data) == JpegFile(width=56, height=40, end=len(data) - 2)
    assert read_jpeg(data + b"a second picture, as some phones append one") == read_jpeg(data)
    assert decode_image(Path("a.jpg"), data).shape == (40, 56, 3)


@pytest.mark.parametrize("restart", [0, 2])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_is_refused_also_when_it_was_closed_again(restart: int, share: float) -> None:
    data = jpeg(restart=restart)
    start = data.index(b"\xff\xda") + 14
    cut = data[: start + int(share * (len(data) - start))].rstrip(b"\xff")
    assert read_jpeg(cut) == "a truncated JPEG: the end-of-image marker is missing"
    with pytest.raises(DataError, match="a truncated JPEG: the rest of the image is missing"):
        decode_image(Path("a.jpg"), cut + END)


def test_a_progressive_file_without_its_last_scans_is_refused() -> None:
    data = jpeg(progressive=True)
    assert read_jpeg(data[: data.rindex(b"\xff\xda")] + END) == "a truncated JPEG: it ends before the last of its scans"


def test_a_header_that_ends_early_and_a_file_without_an_image_are_refused() -> None:
    data = jpeg()
    assert read_jpeg(data[:15]) == "a truncated JPEG: it ends within a header"
    assert read_jpeg(data[:2] + END) == "a damaged JPEG: it holds no image"


def test_scans_without_end_are_refused() -> None:
    data = jpeg(progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    count = data.count(b"\xff\xda") + MOST_SCANS
    assert read_jpeg(data[:-2] + scan * MOST_SCANS + END) == f"a JPEG of {count} scans; at most {MOST_SCANS} are read"


def test_more_pixels_than_are_read_are_refused_before_decoding() -> None:
    data = bytearray(jpeg())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(DataError, match=r"65535x65535 pixels \(height x width\); at most 268435456 are read"):
        decode_image(Path("a.jpg"), bytes(data))
