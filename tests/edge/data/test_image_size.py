"""Sizes of images without decoding them, and boxes of images that EXIF turns."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.data.decode import read_image
from edge.data.image_size import image_size
from edge.data.open_split import open_split
from edge.errors import DataError
from tests.support.box_files import (
    annotation,
    boxes_of,
    coco_image,
    save_images,
    write_coco,
)


def exif(orientation: int, order: str = "<") -> bytes:
    """The segment of a JPEG that says its orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    tiff = mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def oriented(path: Path, orientation: int, order: str = "<") -> tuple[int, int]:
    """A JPEG of 48 x 32 with a bright part; edges of that in the stored image."""
    pixels = np.zeros((32, 48, 3), dtype=np.uint8)
    pixels[8:16, 32:48] = 255
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:2] + exif(orientation, order) + data[2:])
    return 48, 32


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_sizes_and_turned_boxes_are_those_of_the_decoded_image(tmp_path: Path, orientation: int, order: str) -> None:
    path = tmp_path / "images" / "a.jpg"
    oriented(path, orientation, order)
    size, decoded = image_size(path), read_image(path)
    assert size.shown_wh == (decoded.shape[1], decoded.shape[0]) and size.stored_wh == (48, 32)
    left, top, right, bottom = (int(edge) for edge in size.shown((32, 8, 48, 16)))
    assert decoded[top:bottom, left:right].mean() > 240
    assert decoded.astype(int).sum() - decoded[top:bottom, left:right].astype(int).sum() < 0.1 * decoded.size * 255


def test_boxes_of_the_stored_image_are_turned_and_those_of_the_shown_one_are_not(tmp_path: Path) -> None:
    oriented(tmp_path / "images" / "a.jpg", 6)
    boxes = tmp_path / "c.json"
    named: dict[str, Any] = {"images": tmp_path / "images", "boxes": boxes}
    write_coco(boxes, [coco_image(1, "a.jpg", width=48, height=32)], [annotation(1, 3, [32, 8, 16, 8])])
    split = open_split(**named)
    assert boxes_of(split)["a.jpg"] == [("cat", (16, 32, 24, 48), False)]
    assert split.notes[0].startswith("1 images are turned by EXIF and their boxes are those of the stored image")
    write_coco(boxes, [coco_image(1, "a.jpg", width=32, height=48)], [annotation(1, 3, [16, 32, 8, 16])])
    assert boxes_of(open_split(**named)) == boxes_of(split) and not open_split(**named).notes
    write_coco(boxes, [coco_image(1, "a.jpg", width=None, height=None)], [annotation(1, 3, [16, 32, 8, 16])])
    assert "no size says whether their boxes are of the image as shown" in open_split(**named).notes[0]
    oriented(tmp_path / "images" / "a.jpg", 3)
    write_coco(boxes, [coco_image(1, "a.jpg", width=48, height=32)], [annotation(1, 3, [32, 8, 16, 8])])
    assert boxes_of(open_split(**named))["a.jpg"] == [("cat", (32, 8, 48, 16), False)]
    assert "no size says" in open_split(**named).notes[0]


@pytest.mark.parametrize("ending", [".png", ".bmp", ".webp", ".jpg", ".tif"])
def test_size_of_every_kind_of_image(tmp_path: Path, ending: str) -> None:
    save_images(tmp_path, f"a{ending}")
    assert image_size(tmp_path / f"a{ending}").shown_wh == (40, 20)


@given(data=st.data())
def test_size_of_a_damaged_image_is_told_or_it_is_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("size") / data.draw(st.sampled_from(["a.jpg", "a.png"]))
    save_images(path.parent, path.name)
    content = bytearray(path.read_bytes())
    if path.suffix == ".jpg":
        content[2:2] = exif(data.draw(st.integers(0, 9)))
    start = data.draw(st.integers(0, min(len(content) - 1, 200)))
    content[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        size = image_size(path)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert min(size.shown_wh) > 0 and sorted(size.shown_wh) == sorted(size.stored_wh)


def test_a_jpeg_whose_size_stands_far_behind_is_decoded(tmp_path: Path) -> None:
    save_images(tmp_path, "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    comment = b"\xff\xfe" + struct.pack(">H", 60000) + bytes(59998)
    (tmp_path / "a.jpg").write_bytes(data[:2] + comment * 6 + data[2:])
    assert image_size(tmp_path / "a.jpg").shown_wh == (40, 20)
    (tmp_path / "a.jpg").write_bytes(data[:30])
    with pytest.raises(DataError, match="truncated JPEG"):
        image_size(tmp_path / "a.jpg")
