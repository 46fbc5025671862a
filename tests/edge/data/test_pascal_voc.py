"""Pascal VOC's published layout is a split: palette masks as indices, lists in their order, contours left out."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.open_split import open_split
from edge.data.pascal_voc import VOC_CLASSES, pascal_voc, voc_colour
from edge.errors import DataError, UsageError
from tests.support.indexed_png import indexed_png

VOC_PALETTE = bytes(channel for index in range(256) for channel in voc_colour(index))


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Two images, one of a person (15) with a contour, in a list that is not in the order of their names."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name, value in (("2007_000032", 1), ("2007_000027", 15)):
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), np.full((6, 8, 3), 90, np.uint8))
        mask = np.full((6, 8), value, np.uint8)
        mask[0] = 255
        (root / "SegmentationClass" / f"{name}.png").write_bytes(indexed_png(mask, 8, VOC_PALETTE))
    (root / "SegmentationClassAug" / "2007_000027.png").write_bytes(indexed_png(np.full((6, 8), 9, np.uint8), 8, None))
    lists = root / "ImageSets" / "Segmentation"
    (lists / "val.txt").write_text("2007_000032\n2007_000027\n")
    (lists / "trainaug.txt").write_text("2007_000027\n")
    return root


@pytest.mark.data
def test_the_classes_are_those_of_the_official_model(test_data: Path) -> None:
    assert list(VOC_CLASSES) == (test_data / "models" / "pascal_voc_segmentation_labels.txt").read_text().split()


@pytest.mark.parametrize(
    ("index", "colour"),
    [(0, (0, 0, 0)), (1, (128, 0, 0)), (15, (192, 128, 128)), (20, (0, 64, 128)), (255, (224, 224, 192))],
)
def test_the_palette_is_the_published_one(index: int, colour: tuple[int, int, int]) -> None:
    assert voc_colour(index) == colour


def test_masks_are_the_indices_of_their_palette_and_contours_are_void(voc: Path) -> None:
    split = open_split(split=f"voc:{voc}:val")
    assert [split.name(index) for index in range(2)] == ["2007_000032.jpg", "2007_000027.jpg"]
    assert (split.task, len(split.classes), split.ignore_index) == ("segment", 21, 255)
    assert split.classes[int(split.mask(1)[3, 3])] == "person"
    assert (split.mask(1)[0] == 255).all() and split.image(1).shape == (6, 8, 3)


def test_an_augmented_part_has_its_masks_in_a_folder_of_its_own(voc: Path) -> None:
    split = pascal_voc(voc, "trainaug")
    assert split.classes[int(split.mask(0)[0, 0])] == "chair"


def test_masks_of_another_palette_are_refused(voc: Path) -> None:
    other = VOC_PALETTE[3:] + VOC_PALETTE[:3]
    (voc / "SegmentationClass/2007_000032.png").write_bytes(indexed_png(np.ones((6, 8), np.uint8), 8, other))
    with pytest.raises(DataError, match="its palette shows value 1 as"):
        pascal_voc(voc, "val").mask(0)


def test_what_is_not_there_is_refused_by_name(voc: Path) -> None:
    with pytest.raises(UsageError, match="unknown part 'vall'; did you mean 'val'"):
        pascal_voc(voc, "vall")
    with pytest.raises(DataError, match=f"no folder ImageSets/Segmentation; name {voc}"):
        pascal_voc(voc.parent.parent, "val")
    with pytest.raises(DataError, match="is this the right folder"):
        pascal_voc(voc / "JPEGImages", "val")
    listed = voc / "ImageSets/Segmentation/val.txt"
    listed.write_text("2007_000033\n")
    with pytest.raises(DataError, match=r"2007_000033\.jpg: the image of 2007_000033 is missing"):
        pascal_voc(voc, "val")
    (voc / "SegmentationClass/2007_000032.png").unlink()
    listed.write_text("2007_000032\n")
    with pytest.raises(DataError, match=r"2007_000032\.png: the mask of 2007_000032 is missing"):
        pascal_voc(voc, "val")


@pytest.mark.parametrize(("text", "problem"), [("\n\n", "lists no images"), ("a\n../b\n", "line 2: '../b' is no name")])
def test_a_list_that_is_none_is_refused(voc: Path, text: str, problem: str) -> None:
    (voc / "ImageSets/Segmentation/val.txt").write_text(text)
    with pytest.raises(DataError, match=problem):
        pascal_voc(voc, "val")
