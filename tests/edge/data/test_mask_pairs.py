"""Masks are found by their names, where those can be meant in one way only."""

from pathlib import Path

import pytest

from edge.data.mask_pairs import mask_pairs
from edge.errors import DataError


def folders(root: Path, images: list[str], masks: list[str]) -> tuple[Path, Path]:
    for folder, names in (("images", images), ("masks", masks)):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).write_bytes(b"x")
    return root / "images", root / "masks"


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["a.jpg", "b.jpg"], ["a.png", "b.png", "c.png"]),
        (["a.jpg", "b.jpg"], ["a.jpg.png", "b.jpg.png"]),
        (["a.jpg", "b.jpg"], ["a.bmp", "b.tif"]),
        (["a.jpg", "ab.jpg"], ["a_mask.png", "ab_mask.png"]),
        (["0001_06.png", "0001_07.png"], ["0001_06_L.png", "0001_07_L.png"]),
        (["u_1_leftImg8bit.png", "u_2_leftImg8bit.png"], ["u_1_gtFine_labelIds.png", "u_2_gtFine_labelIds.png"]),
        (["img_1.jpg", "img_2.jpg"], ["mask_1.png", "mask_2.png"]),
        (["1_img.jpg", "2_img.jpg"], ["1_img_mask.png", "2_img_mask.png"]),
        (["12_sat.jpg", "13_sat.jpg"], ["12_mask.png", "13_mask.png"]),
        (["1.jpg", "11.jpg"], ["1-label.png", "11-label.png", "111-label.png"]),
    ],
)
def test_a_mask_is_called_as_its_image_is_or_has_one_ending_more(
    tmp_path: Path, images: list[str], masks: list[str]
) -> None:
    pairs = mask_pairs(*folders(tmp_path, images, masks))
    assert [(image.name, mask.name) for image, mask in pairs] == list(zip(images, masks, strict=False))


@pytest.mark.parametrize(
    ("images", "masks", "problem"),
    [
        (["a.jpg", "b.jpg", "c.jpg"], ["b.png"], r"2 of 3 images have no mask: a\.jpg, c\.jpg$"),
        (["a.jpg", "b.jpg", "c.jpg"], ["b_mask.png"], r"2 of 3 images have no mask: a\.jpg, c\.jpg$"),
        (
            ["a.jpg"],
            ["a.jpg"],
            r"the mask is missing: a\.jpg; a\.jpg is there, but a mask is one of \.png.*save it as PNG",
        ),
        (["a.jpg"], ["a_mask.gif"], r"the mask is missing: a\.jpg; a_mask\.gif is there, but a mask is one of \.png"),
        (["a.jpg"], ["a.png", "a.bmp"], r"a\.bmp: is one mask of a\.jpg, a\.png another"),
        (["a.jpg"], ["a_color.png", "a_labelIds.png"], r"more than one mask by its name: a_color, a_labelIds"),
        (["f_1.jpg"], ["f_2.png"], r"the mask is missing: f_1\.jpg"),
        (["f.jpg"], ["f_2.png"], r"the mask is missing: f\.jpg"),
        (["1.jpg"], ["11_mask.png"], r"the mask is missing: 1\.jpg"),
        ([], ["a.png"], "no images in this folder"),
    ],
)
def test_a_mask_that_is_missing_or_ambiguous_is_refused(
    tmp_path: Path, images: list[str], masks: list[str], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        mask_pairs(*folders(tmp_path, images, masks))


def test_images_and_masks_in_one_folder_are_refused(tmp_path: Path) -> None:
    images, _ = folders(tmp_path, ["a.jpg", "a_mask.png"], [])
    with pytest.raises(DataError, match="holds images and masks together"):
        mask_pairs(images, images)
