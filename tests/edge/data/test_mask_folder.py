"""Masks of values, palettes and colours become class indices by the classes file, or by what the masks hold."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.artifact.model_file import Labels
from edge.data.class_names import ClassNames, read_class_names
from edge.data.mask_folder import mask_folder
from edge.data.model_classes import labels_of, model_classes
from edge.data.split_file import read_split, write_split
from edge.data.splits import Split
from edge.errors import DataError
from tests.support.indexed_png import indexed_png

SKY, ROAD, VOID = (128, 128, 128), (128, 64, 128), (0, 0, 0)
TABLE = "Sky 128 128 128\nRoad 128 64 128\nVoid 0 0 0\n"


def folder(root: Path, *masks: np.ndarray | bytes) -> tuple[Path, Path]:
    """Images of 4x3 pixels and these masks; colours are RGB."""
    for index, mask in enumerate(masks):
        for name in ("images", "masks"):
            (root / name).mkdir(exist_ok=True)
        (root / f"images/{index}.png").write_bytes(cv2.imencode(".png", np.zeros((3, 4, 3), np.uint8))[1].tobytes())
        if isinstance(mask, np.ndarray):
            mask = cv2.imencode(".png", mask[:, :, ::-1] if mask.ndim == 3 else mask)[1].tobytes()
        (root / f"masks/{index}.png").write_bytes(mask)
    return root / "images", root / "masks"


def full(value: int | tuple[int, int, int]) -> np.ndarray:
    return np.full((3, 4) if isinstance(value, int) else (3, 4, 3), value, dtype=np.uint8)


def rows(*values: int | tuple[int, int, int]) -> np.ndarray:
    """A mask of three rows, each of one value or colour."""
    return np.concatenate([full(value)[:1] for value in values])


def names(tmp_path: Path, text: str) -> ClassNames:
    (tmp_path / "classes.txt").write_text(text)
    return read_class_names(tmp_path / "classes.txt")


def column(split: Split, index: int = 0) -> list[int]:
    return [int(value) for value in split.mask(index)[:, 0]]


def test_colours_become_classes_by_the_table(tmp_path: Path) -> None:
    split = mask_folder(*folder(tmp_path, rows(ROAD, SKY, VOID)), names(tmp_path, TABLE))
    assert (split.classes, split.palette, split.ignore_index) == (("Sky", "Road"), (SKY, ROAD), 2)
    assert column(split) == [1, 0, 2]
    assert column(mask_folder(*folder(tmp_path, rows(ROAD, SKY, VOID)), model_classes(labels_of(split)))) == [1, 0, 2]


def test_void_may_stand_anywhere_in_the_table(tmp_path: Path) -> None:
    classes = names(tmp_path, "unlabeled:0,0,0::\nSky:128,128,128::\nRoad:128,64,128::\n")
    split = mask_folder(*folder(tmp_path, rows(ROAD, SKY, VOID), rows(0, 1, 2)), classes)
    assert (split.classes, split.ignore_index) == (("Sky", "Road"), 255)
    assert (column(split, 0), column(split, 1)) == ([1, 0, 255], [255, 0, 1])


def test_an_unknown_colour_is_named_with_its_place_and_the_nearest_class(tmp_path: Path) -> None:
    mask = full(SKY)
    mask[1, 2] = (128, 60, 128)
    split = mask_folder(*folder(tmp_path, mask), names(tmp_path, TABLE))
    problem = (
        r"masks/0\.png: colour 128,60,128 at x 2, y 1 is not a class .* 1 of 12 pixels.; the nearest is 'Road' 128,64"
    )
    with pytest.raises(DataError, match=problem):
        split.mask(0)


def test_colours_without_a_table_name_the_cure_and_what_was_found(tmp_path: Path) -> None:
    images, masks = folder(tmp_path, rows(SKY, SKY, ROAD))
    for classes in (None, names(tmp_path, "Sky\nRoad\n")):
        with pytest.raises(DataError, match=r"give --classes FILE .* found 128,64,128; 128,128,128"):
            mask_folder(images, masks, classes).mask(0)


def test_two_classes_of_one_colour_are_refused_where_colours_are_read(tmp_path: Path) -> None:
    split = mask_folder(*folder(tmp_path, rows(SKY, ROAD, SKY), rows(0, 1, 1)), names(tmp_path, "a 1 1 1\nb 1 1 1\n"))
    assert column(split, 1) == [0, 1, 1]
    with pytest.raises(DataError, match="1,1,1 is the colour of two classes"):
        split.mask(0)


def test_three_equal_channels_without_colours_in_the_table_are_values(tmp_path: Path) -> None:
    split = mask_folder(*folder(tmp_path, rows((0, 0, 0), (1, 1, 1), (255, 255, 255))), names(tmp_path, "a\nb\n"))
    assert column(split) == [0, 1, 255]


def test_a_palette_shows_the_classes_and_is_held_to_the_table(tmp_path: Path) -> None:
    values = np.array([[0] * 4, [1] * 4, [1] * 4], dtype=np.uint8)
    images, masks = folder(tmp_path, indexed_png(values, 8, bytes([*SKY, *ROAD])))
    found = mask_folder(images, masks)
    assert (found.classes, found.palette) == (("class_0", "class_1"), (SKY, ROAD))
    assert column(mask_folder(images, masks, names(tmp_path, TABLE))) == [0, 1, 1]
    turned = mask_folder(images, masks, names(tmp_path, "Road 128 64 128\nSky 128 128 128\n"))
    with pytest.raises(
        DataError, match=r"shows value 0 as 128,128,128, but class 0 'Road' is 128,64,128.*save .* as RGB"
    ):
        turned.mask(0)


def test_palettes_that_differ_between_masks_are_refused(tmp_path: Path) -> None:
    values = np.array([[0] * 4, [1] * 4, [1] * 4], dtype=np.uint8)
    shown = [indexed_png(values, 8, bytes([*first, *second])) for first, second in ((SKY, ROAD), (ROAD, SKY))]
    split = mask_folder(*folder(tmp_path, *shown))
    assert column(split, 0) == [0, 1, 1]
    with pytest.raises(DataError, match=r"1\.png: its palette shows value 0"):
        split.mask(1)


def test_a_short_palette_of_the_first_mask_does_not_hide_that_others_differ(tmp_path: Path) -> None:
    first = indexed_png(np.array([[0] * 4, [1] * 4, [1] * 4], dtype=np.uint8), 8, bytes([*SKY, *ROAD]))
    other = indexed_png(np.array([[0] * 4, [1] * 4, [2] * 4], dtype=np.uint8), 8, bytes([*SKY, *VOID, *ROAD]))
    split = mask_folder(*folder(tmp_path, first, other))
    assert split.palette == (SKY, ROAD, ROAD)
    with pytest.raises(DataError, match=r"1\.png: its palette shows value 1 as 0,0,0"):
        split.mask(1)


def test_classes_are_the_values_found_where_no_file_names_them(tmp_path: Path) -> None:
    split = mask_folder(*folder(tmp_path, rows(0, 1, 255), rows(2, 2, 2)))
    assert (split.classes, split.ignore_index) == (("class_0", "class_1", "class_2"), 255)
    assert "3 classes from the values found, class_0 to class_2 and void (255)" in split.notes[0]


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (rows(0, 7, 8), r"hold the values 0, 7, 8, with gaps: give --classes FILE .* `value<TAB>name`"),
        (rows(1, 2, 3), "hold the values 1, 2, 3, with gaps"),
        (rows(0, 0, 0), "one class is nothing to learn: the masks hold 0"),
        (rows(255, 255, 255), r"the masks hold void \(255\) alone"),
        (np.arange(100, dtype=np.uint8).reshape(25, 4), "100 different values: photographs"),
    ],
)
def test_values_that_name_no_classes_are_refused_with_the_cure(tmp_path: Path, mask: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        mask_folder(*folder(tmp_path, mask))


def test_values_with_gaps_are_classes_of_a_file_and_of_the_model_that_learned_them(tmp_path: Path) -> None:
    images, masks = folder(tmp_path, rows(11, 7, 0), rows(7, 250, 7), rows(7, 8, 7))
    classes = names(tmp_path, "0\tvoid\n7\troad\n11\tbuilding\n250\tignore\n")
    split = mask_folder(images, masks, classes)
    assert (split.classes, column(split, 0), column(split, 1)) == (("road", "building"), [1, 0, 255], [0, 255, 0])
    with pytest.raises(DataError, match=r"mask value 8 at x 0, y 1 .* values 0, 7, 11, 250, 255 .* `8<TAB>void`"):
        split.mask(2)
    assert column(mask_folder(images, masks, model_classes(labels_of(split)))) == [1, 0, 255]


def test_binary_masks_are_two_classes(tmp_path: Path) -> None:
    images, masks = folder(tmp_path, full(0), rows(0, 255, 0))
    for classes in (None, names(tmp_path, "background\ncell\n"), names(tmp_path, "a 0,0,0\nb 255,255,255\n")):
        split = mask_folder(images, masks, classes)
        assert (len(split.classes), column(split, 1)) == (2, [0, 1, 0])
    assert column(mask_folder(images, masks, names(tmp_path, "b 255,255,255\na 0,0,0\n")), 1) == [1, 0, 1]
    for text, cure in (("a\nb\nc\n", "name two classes"), ("a\nb\n255\n".replace("255", "void"), "name two classes")):
        with pytest.raises(DataError, match=f"masks of 0 and 255 alone, for . classes: .*{cure}"):
            mask_folder(images, masks, names(tmp_path, text))
    learned = Labels(names=("a", "b"), ignore_index=255)
    with pytest.raises(DataError, match="save the class that is 255 by its index"):
        mask_folder(images, masks, model_classes(learned))


def test_255_is_void_beside_other_classes(tmp_path: Path) -> None:
    split = mask_folder(*folder(tmp_path, rows(0, 255, 0), rows(1, 255, 0)), names(tmp_path, "a\nb\n"))
    assert column(split, 0) == [0, 255, 0]


def test_a_pinned_split_keeps_what_colours_mean(tmp_path: Path) -> None:
    split = mask_folder(*folder(tmp_path, rows(ROAD, SKY, VOID)), names(tmp_path, TABLE))
    write_split(split, tmp_path / "s.split.json")
    assert column(read_split(tmp_path / "s.split.json")) == [1, 0, 2]
