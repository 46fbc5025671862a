"""YOLO's files of boxes: shares, outlines, the names beside them, and what is refused with its line."""

from pathlib import Path
from typing import Any

import pytest

from edge.data.class_names import ClassNames
from edge.data.open_split import open_split
from edge.errors import DataError
from tests.support.box_files import (
    boxes_of,
    save_images,
    write_files,
    yolo,
)


def test_yolo_boxes_are_shares_and_outlines_are_boxed(tmp_path: Path) -> None:
    split = yolo(tmp_path, "1 0.5 0.5 0.5 0.5\n\n0 0.1 0.2 0.5 0.25 0.3 0.9\n")
    assert boxes_of(split)["a.png"] == [("dog", (10, 5, 30, 15), False), ("cat", (4, 4, 20, 18), False)]
    assert split.notes[:-1] == ("1 lines are outlines, whose boxes are taken: a.txt line 3",)


def test_yolo_numbers_are_those_of_the_names_beside_its_files(tmp_path: Path) -> None:
    """A model of the same classes in another order is not evaluated on the wrong ones."""
    yolo(tmp_path, "1 0.5 0.5 0.5 0.5\n")
    named: dict[str, Any] = {"images": tmp_path / "images", "boxes": tmp_path / "labels"}
    split = open_split(**named, classes=ClassNames(names=("dog", "bird", "cat")))
    assert split.classes == ("dog", "bird", "cat") and boxes_of(split)["a.png"][0][0] == "dog"
    with pytest.raises(DataError, match=r"a\.txt: line 1: unknown class 'dog'"):
        open_split(**named, classes=ClassNames(names=("cat", "bird")))
    (tmp_path / "labels" / "classes.txt").unlink()
    assert boxes_of(open_split(**named, classes=ClassNames(names=("cat", "bird"))))["a.png"][0][0] == "bird"


def test_yolo_images_without_a_file_have_no_boxes_and_classes_without_names_are_numbered(tmp_path: Path) -> None:
    images = save_images(tmp_path / "images" / "train", "a.png", "b.png", "c.png")
    boxes = write_files(tmp_path / "labels" / "train", b_dot_txt="2 0.5 0.5 0.5 0.5\n", c_dot_txt="")
    split = open_split(images=images, boxes=boxes)
    assert {name: len(found) for name, found in boxes_of(split).items()} == {"a.png": 0, "b.png": 1, "c.png": 0}
    assert split.classes == ("class_0", "class_1", "class_2")
    assert split.notes[0].startswith("no file of class names") and split.notes[1].endswith("no boxes: a.png")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2 0.5 0.5 0.5 0.5", r"class 2 is out of range; there are 2 classes \(0 first\)"),
        ("cat 0.5 0.5 0.5 0.5", "class 'cat'; expected a whole number, then x y width height"),
        ("-1 0.5 0.5 0.5 0.5", "class '-1'; expected a whole number"),
        ("0 0.5 x 0.5 0.5", "'x' is no number"),
        ("0 nan 0.5 0.5 0.5", "'nan' is no number"),
        ("0 0.1 0.1 nan 0.5 0.3 0.3", "'nan' is no number"),
        ("0 0.1 0.1 0.2 1e400 0.3 0.3", "'1e400' is no number"),
        ("0 1e308 0.5 0.5 0.5", ".*not all are numbers of pixels"),
        ("0 0.5 0.5 0.5", "4 columns; a box has 5"),
        ("0 0.5 0.5 0.5 0.5 0.9", "6 columns: a box with its score is what a detector found"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "8 columns; a box has 5"),
        (
            "0 320 240 100 100",
            r".*lies outside the image, a.png of 20x40 pixels \(height x width\); these are shares of the image",
        ),
        ("0 0.5 0.5 -0.5 0.5", ".*ends before it begins"),
    ],
)
def test_a_line_that_does_not_hold_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"a\.txt: line 2: {problem}"):
        yolo(tmp_path, f"0 0.5 0.5 0.5 0.5\n{line}\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [cat, 'big dog', \"x, y\"]\n", ("cat", "big dog", "x, y")),
        ("train: x\nnames:\n- cat\n- dog # no cat\nnc: 2\n", ("cat", "dog")),
        ("names:\n  0: cat\n  # none\n  1: 'it''s'\npath: x\n", ("cat", "it's")),
        ("names: {0: cat, 1: dog}\n", ("cat", "dog")),
        ("names: [\n  cat, # first\n  dog,\n]\n", ("cat", "dog")),
    ],
)
def test_names_of_a_yaml_file(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    save_images(tmp_path / "images", "a.png")
    boxes = write_files(tmp_path / "labels", a_dot_txt="0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text(text)
    assert open_split(images=tmp_path / "images", boxes=boxes).classes == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("train: x\n", "has no `names`"),
        ("names: [cat\n", "line 1: `names` begin with '\\[' and do not end"),
        ("a: 1\nnames: coco.names\n", "line 2: `names` are not understood"),
        ("names: {0: cat, 2: dog}\n", "must be numbered 0, 1, 2"),
        ("names:\n  1: cat\n", "must be numbered 0, 1, 2"),
        ("nc: 3\nnames: [cat, dog]\n", "line 1: nc is 3, but 2 names are given"),
    ],
)
def test_names_that_are_not_whole_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    save_images(tmp_path / "images", "a.png")
    boxes = write_files(tmp_path / "labels", a_dot_txt="0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"data\.yaml: .*{problem}"):
        open_split(images=tmp_path / "images", boxes=boxes)
