"""Before a training one line each says what the classes lack; images of one class alone are refused."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.class_counts import class_notes
from edge.data.class_names import ClassNames
from edge.data.generated import generated_split
from edge.data.mask_folder import mask_folder
from edge.data.splits import UNKNOWN, Sample, Split
from edge.errors import DataError


def split_of(folder: Path, classes: str, labels: list[int], contents: list[int] | None = None) -> Split:
    samples = []
    for index, label in enumerate(labels):
        path = folder / f"{index}.png"
        path.write_bytes(b"%d" % (contents[index] if contents else index))
        samples.append(Sample(name=path.name, image=path, target=label))
    return Split(samples=tuple(samples), task="classify", classes=tuple(classes.split()), origin="photos")


@pytest.mark.parametrize(
    ("classes", "labels", "notes"),
    [
        ("cat dog", [0] * 15 + [1] * 15, []),
        (
            "cat dog",
            [0] * 60 + [1] * 5,
            ["classes are unequal: 'cat' 60, but 'dog' 5; train.class_weights=sqrt_frequency"],
        ),
        ("cat dog", [0] * 60 + [1], ["1 classes have fewer than 5 images to train on: 'dog' 1"]),
        ("cat dog fox", [0] * 6 + [2] * 6, ["1 of 3 classes have no image to train on: 'dog'"]),
        ("Cat cat", [0] * 6 + [1] * 6, ["classes 'Cat' and 'cat' differ in upper and lower case alone"]),
    ],
)
def test_what_the_classes_lack_is_noted(tmp_path: Path, classes: str, labels: list[int], notes: list[str]) -> None:
    found = class_notes(split_of(tmp_path, classes, labels))
    assert len(found) == len(notes) and all(line.startswith(start) for line, start in zip(found, notes, strict=True))


def test_labels_that_hold_in_no_image_in_every_one_and_in_few_are_noted(tmp_path: Path) -> None:
    split = split_of(tmp_path, "cat dog fox", [0] * 6)
    truths = [(1, 0, 1), (1, 0, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0), (UNKNOWN, 0, 0)]
    samples = tuple(replace(sample, target=truth) for sample, truth in zip(split.samples, truths, strict=True))
    assert class_notes(replace(split, samples=samples, scores="independent")) == [
        "1 of 3 labels hold in no image to train on: 'dog'",
        "1 labels hold in fewer than 5 images to train on: 'fox' 1",
        "1 of 3 labels hold wherever they are known: 'cat'",
    ]


def test_the_same_image_under_two_classes_is_noted(tmp_path: Path) -> None:
    split = split_of(tmp_path, "cat dog", [0] * 6 + [1] * 6, [*range(6), 2, 7, 8, 9, 10, 10])
    assert class_notes(split) == ["1 images stand under two classes: 2.png and 6.png"]


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="photos: all 6 images are of one class, 'dog': there is nothing to tell apart"):
        class_notes(split_of(tmp_path, "cat dog", [1] * 6))


def test_masks_and_drawn_images_have_nothing_to_note() -> None:
    assert class_notes(generated_split("segment", "train", 8)) == []
    assert class_notes(generated_split("classify", "train", 200)) == []


def test_masks_say_which_classes_have_no_pixel(tmp_path: Path) -> None:
    for name, pixels in (
        ("images/a.png", np.zeros((2, 3, 3), np.uint8)),
        ("masks/a.png", np.eye(2, 3, dtype=np.uint8)),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    split = mask_folder(tmp_path / "images", tmp_path / "masks", ClassNames(names=("a", "b", "c")))
    assert class_notes(split) == ["1 of 3 classes have no pixel to train on: 'c'"]
    (tmp_path / "masks/a.png").write_bytes(cv2.imencode(".png", np.full((2, 3), 255, np.uint8))[1].tobytes())
    with pytest.raises(DataError, match="the masks of all 1 images are void"):
        class_notes(split)
