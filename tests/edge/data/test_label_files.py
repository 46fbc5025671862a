"""Label files as people have them: CSV of Kaggle and of spreadsheets, lists of all and of some images."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.class_names import ClassNames
from edge.data.image_folder import image_folder
from edge.data.splits import Split
from edge.errors import DataError

NAMES = ("000bec.jpg", "deeper/b c.JPG", "it's é.png", "x,y.png")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    return tmp_path / "images"


def opened(folder: Path, text: str, classes: ClassNames | None = None) -> Split:
    path = folder.parent / "labels.csv"
    path.write_bytes(text.encode())
    return image_folder(folder, path, classes)


def labels_of(split: Split) -> dict[str, str]:
    return {sample.name: split.classes[split.label(index)] for index, sample in enumerate(split.samples)}


@pytest.mark.parametrize(
    "text",
    [
        "filename,label\n000bec.jpg,dog\ndeeper/b c.JPG,cat\n",
        "id,breed\r\n000bec,dog\r\ndeeper/b c,cat\r\n",
        "\ufeffimage_path;class\r\n000bec.jpg;dog\r\ndeeper/b c.JPG;cat\r\n",
        "Image Name\tLabel\n000bec.jpg\tdog\ndeeper/b c.JPG\tcat\n",
        '"filename","label"\n"000bec.jpg","dog"\n"deeper/b c.JPG","cat"\n',
        "filename, label\n000bec.jpg, dog\ndeeper\\b c.JPG, cat\n",
        "filename,label,\n000bec.jpg,dog,\ndeeper/b c.JPG,cat,\n",
        "label,filename\ndog,000bec.jpg\ncat,deeper/b c.JPG\n",
        "000bec.jpg;dog\ndeeper/b c.JPG;cat\n",
        "000bec.jpg,dog\n000bec.jpg,dog\ndeeper/b c.JPG,cat\n\n",
    ],
)
def test_the_forms_that_people_have_say_the_same(photographs: Path, text: str) -> None:
    assert labels_of(opened(photographs, text)) == {"000bec.jpg": "dog", "deeper/b c.JPG": "cat"}


def test_names_with_separators_quotes_and_accents_are_found(photographs: Path) -> None:
    decomposed = "it's e\u0301.png"  # as macOS writes it
    split = opened(photographs, f'filename,label\n"x,y.png",a\n{decomposed},b\n{photographs}/000bec.jpg,a\n')
    assert labels_of(split) == {"x,y.png": "a", "it's é.png": "b", "000bec.jpg": "a"}


def test_numbers_are_indices_under_a_line_of_column_names_too(photographs: Path) -> None:
    split = opened(photographs, "id,target\n000bec,1\nx\\,y,0\n".replace("\\", ""), ClassNames(names=("cat", "dog")))
    assert labels_of(split) == {"000bec.jpg": "dog", "x,y.png": "cat"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "f,label,width\n000bec.jpg,dog,4\n",
            r"has 3 columns \(f, label, width\); keep two of them, the image and its",
        ),
        ("000bec.jpg,dog\nx,y.png,\n", r"1 of 2 lines give no class: line 2 \(x,y.png\); fill it in"),
        (
            "000bec,dog\nno,cat\nnor,cat\n",
            r"images/no: no such image; labels\.csv line 2 lists it; of its 3 lines 1 more",
        ),
        ("000BEC.JPG,dog\n", r"no such image; 000bec\.jpg is there; labels\.csv line 1"),
        ("images/000bec.jpg,dog\n", "no such image; it is in .*: name that folder"),
        ("000bec.jpg,dog\n000bec,cat\n", r"'000bec' is listed twice: as 'dog' in line 1, as 'cat' in line 2"),
        ('"000bec.jpg,dog\n', "line 1: unexpected end of data; a value with quotes"),
        ("/elsewhere/000bec.jpg,dog\n", "line 1: '/elsewhere/000bec.jpg' lies outside the images' folder"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(photographs: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        opened(photographs, text)


def test_a_name_without_ending_that_two_files_have_is_not_guessed(photographs: Path) -> None:
    (photographs / "000bec.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"'000bec' may be 000bec\.jpg and 000bec\.png; list images with their endings"):
        opened(photographs, "000bec,dog\n")


def test_what_is_left_out_or_taken_for_something_is_noted(photographs: Path) -> None:
    assert opened(photographs, "lost,fox\n000bec,dog\n000bec,dog\nx,y.png,cat\n").notes == (
        "line 1 (lost, fox) is taken for names of columns",
        "1 lines repeat an image and its class; each image is taken once",
        f"2 images of {photographs} have no line and are omitted: it's é.png, deeper/b c.JPG",
    )


@pytest.mark.parametrize(
    ("text", "names", "told"),
    [
        ("000bec.jpg,0\nx.jpg,2\n", ("background", "tench, Tinca tinca", "goldfish"), True),
        ("000bec.jpg,1\nx.jpg,2\n", ("Background", "tench, Tinca tinca", "goldfish"), True),
        ("000bec.jpg,goldfish\nx.jpg,background\n", ("background", "tench", "goldfish"), False),
        ("000bec.jpg,0\nx.jpg,2\n", ("tench", "background", "goldfish"), False),
    ],
)
def test_numbers_of_classes_that_begin_with_the_background_are_said(
    photographs: Path, text: str, names: tuple[str, ...], told: bool
) -> None:
    """Such a list may count without it, and be one short everywhere."""
    text = text.replace("x.jpg", "deeper/b c.JPG")
    first = opened(photographs, text, ClassNames(names=names)).notes[0]
    told_is = f"its numbers are indices of the classes: 0 = {names[0]}, 1 = tench; to a list without {names[0]} add 1"
    assert (first == told_is) == told
