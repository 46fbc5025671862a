"""Files of independent labels: a table of 0 and 1, celebA's list_attr, several names in one column."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.class_names import ClassNames
from edge.data.label_table import read_label_table
from edge.data.open_split import open_split
from edge.data.split_file import read_split, write_split
from edge.errors import DataError

CSV = "filename,cat,dog,bird\na.png,1,0,1\nb.png,0,,0\n"
TRUTHS = [(1, 0, 1), (0, -1, 0)]


def labels_file(tmp_path: Path, text: str) -> Path:
    (tmp_path / "images").mkdir(exist_ok=True)
    for name in ("a.png", "b.png", "c,d.png"):
        pixels = np.full((4, 6, 3), ord(name[0]), dtype=np.uint8)
        (tmp_path / "images" / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    (tmp_path / "labels.csv").write_text(text)
    return tmp_path / "labels.csv"


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", ";"),
        "# made by hand\nfilename\tcat\tdog\tbird\r\na.png\t1\t0\t1\r\n\r\nb.png\t0\t?\t0\r\n",
        ",cat,dog,bird\na.png,1.0,0.0,1.0\nb.png,0.0,nan,0.0\n",
        'image,cat,dog,bird\n"a.png",True,False,True\nb.png,False,,False\n',
    ],
)
def test_a_table_gives_every_label_of_every_image(tmp_path: Path, text: str) -> None:
    split = open_split(images=tmp_path / "images", labels=labels_file(tmp_path, text))
    assert (split.task, split.scores, split.classes) == ("classify", "independent", ("cat", "dog", "bird"))
    assert [tuple(split.truth(index)) for index in range(2)] == TRUTHS


def test_the_attributes_of_celeba_are_read_as_they_are(tmp_path: Path) -> None:
    path = labels_file(tmp_path, "2\nSmiling Young \na.png  1 -1\nb.png -1 -1\n")
    table = read_label_table(path)
    assert table is not None and table.names == ("Smiling", "Young")
    assert [truth for _, _, truth in table.rows] == [(1, 0), (0, 0)]
    with pytest.raises(DataError, match="says 3 images in its first line and has 2"):
        read_label_table(labels_file(tmp_path, "3\nSmiling Young\na.png 1 -1\nb.png -1 -1\n"))


@pytest.mark.parametrize("mark", ["|", ";"])
def test_several_names_in_one_column_are_the_labels_that_hold(tmp_path: Path, mark: str) -> None:
    text = f'filename,labels\na.png,dog{mark}cat\nb.png,\n"c,d.png,cat\n'.replace('"', "")
    split = open_split(images=tmp_path / "images", labels=labels_file(tmp_path, text))
    assert (split.scores, split.classes) == ("independent", ("cat", "dog"))
    assert [tuple(split.truth(index)) for index in range(3)] == [(1, 1), (0, 0), (1, 0)]


def test_given_classes_choose_and_order_the_columns(tmp_path: Path) -> None:
    path = labels_file(tmp_path, "filename,age,cat,dog\na.png,41,1,0\nb.png,7,0,1\n")
    table = read_label_table(path, ClassNames(names=("dog", "cat")))
    assert table is not None and [truth for _, _, truth in table.rows] == [(0, 1), (1, 0)]
    with pytest.raises(DataError, match="unknown column 'dogs'; did you mean 'dog'"):
        read_label_table(path, ClassNames(names=("dogs", "cat")))
    with pytest.raises(DataError, match="line 2: column 'age' holds '41'; a label is 1, 0, or nothing"):
        read_label_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "a.png\tcat\nb.png\tdog\n",
        "filename,label\na.png,1\nb.png,0\n",
        "c,d.png,1\na.png,0\n",
        "a.png cat\n",
        "filename,label\nmy own, picture.png,cat\n",
    ],
)
def test_one_class_per_image_is_no_table(tmp_path: Path, text: str) -> None:
    assert read_label_table(labels_file(tmp_path, text)) is None


def test_a_class_whose_name_holds_the_mark_is_one_class(tmp_path: Path) -> None:
    path = labels_file(tmp_path, "a.png,cat|dog\n")
    assert read_label_table(path, ClassNames(names=("cat|dog", "bird"))) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("filename,a,b\na.png,0,1\nb.png,-1,1\n", "holds 0 and -1, and may mean 'no' or 'unknown' by it"),
        ("filename,a,b\na.png,0\n", "line 2: 2 columns, the first line has 3"),
        ("filename,a,a\na.png,0,1\n", "two columns are named 'a'"),
        ("a.png,0,1\nb.png,1,1\n", "line 1: has 2 labels; name them in a line before it"),
        ("filename,a,b\n", "no labels"),
        ("filename,labels\na.png,cat|\nb.png,cat\n", "has the label 'cat' only; one label alone is two classes"),
        ("a.png,cat|dog\nb.png,cat;dog\n", "has both | and ; between names"),
    ],
)
def test_a_table_that_does_not_hold_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError) as refused:
        read_label_table(labels_file(tmp_path, text))
    assert problem in str(refused.value)


def test_a_name_that_is_no_class_is_refused(tmp_path: Path) -> None:
    path = labels_file(tmp_path, "a.png,cat|dgo\n")
    with pytest.raises(DataError, match="line 1: unknown class 'dgo'; did you mean 'dog'"):
        read_label_table(path, ClassNames(names=("cat", "dog")))


def test_a_listed_image_that_is_missing_is_named(tmp_path: Path) -> None:
    path = labels_file(tmp_path, CSV.replace("b.png", "x.png"))
    with pytest.raises(DataError, match=r"x\.png: no such image; labels\.csv line 3 lists it"):
        open_split(images=tmp_path / "images", labels=path)


def test_pinned_labels_come_back(tmp_path: Path) -> None:
    split = open_split(images=tmp_path / "images", labels=labels_file(tmp_path, CSV))
    write_split(split, tmp_path / "pinned.split.json")
    pinned = read_split(tmp_path / "pinned.split.json")
    assert (pinned.scores, pinned.sha256) == ("independent", split.sha256)
    assert [tuple(pinned.truth(index)) for index in range(2)] == TRUTHS


def test_an_image_of_independent_labels_has_no_one_class(tmp_path: Path) -> None:
    split = open_split(images=tmp_path / "images", labels=labels_file(tmp_path, CSV))
    with pytest.raises(DataError, match="independent of each other"):
        split.label(0)
