"""Boxes as targets: held, refused, hashed, pinned, held out and counted as every other target."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.boxes import Box, BoxTarget
from edge.data.class_counts import class_notes
from edge.data.damaged import without_damaged
from edge.data.hold_out import hold_out
from edge.data.open_split import open_split
from edge.data.split_file import read_split, write_split
from edge.data.splits import Sample, Split
from edge.errors import DataError

CAT, DOG = Box(1.0, 2.0, 5.5, 6.0, 0), Box(0.0, 0.0, 8.0, 6.0, 1, ignored=True)


def split_of(folder: Path, *targets: tuple[Box, ...], contents: tuple[int, ...] = ()) -> Split:
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for index, boxes in enumerate(targets):
        path = folder / f"{index:03}.png"
        grey = contents[index] if contents else index
        path.write_bytes(cv2.imencode(".png", np.full((6, 8, 3), grey, dtype=np.uint8))[1].tobytes())
        samples.append(Sample(name=path.name, image=path, target=BoxTarget(boxes)))
    return Split(samples=tuple(samples), task="detect", classes=("cat", "dog"), origin="photos")


def test_boxes_come_back_as_arrays_also_none(tmp_path: Path) -> None:
    split = split_of(tmp_path, (CAT, DOG), ())
    found = split.boxes(0)
    assert split.has_boxes and split.has_targets and not split.has_labels and not split.has_masks
    assert found.boxes.dtype == np.float32 and np.array_equal(found.boxes, [[1, 2, 5.5, 6], [0, 0, 8, 6]])
    assert found.labels.dtype == np.int64 and list(found.labels) == [0, 1]
    assert found.ignored.dtype == np.bool_ and list(found.ignored) == [False, True]
    empty = split.boxes(1)
    assert (empty.boxes.shape, empty.labels.shape, empty.ignored.shape) == ((0, 4), (0,), (0,))
    assert split.subset([1]).boxes(0).boxes.shape == (0, 4)


def test_a_whole_yolo_set_named_twice_is_shown_its_two_folders(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    split_of(tmp_path / "train" / "images", (), ())
    for name in ("000", "001"):
        (tmp_path / "train" / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    with pytest.raises(DataError, match=r"the images of .*train/labels are in .*train/images: name these two folders"):
        open_split(images=tmp_path, boxes=tmp_path)


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        (CAT._replace(x1=1.0), "box 1 .* is no box: left 1.0, top 2.0, right 1.0"),
        (CAT._replace(y0=-0.5), "is no box: left 1.0, top -0.5"),
        (CAT._replace(y1=float("nan")), "edges that are no numbers"),
        (CAT._replace(x1=float("inf")), "edges that are no numbers"),
        (CAT._replace(x1=1e300), "edges that are no numbers of pixels"),  # of a pinned split; no float32 holds it
        (CAT._replace(label=2), r"has label 2; there are 2 classes \(0 first\)"),
        (CAT._replace(label=-1), "has label -1"),
    ],
)
def test_what_is_no_box_is_refused(tmp_path: Path, box: Box, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        split_of(tmp_path, (CAT, box))


def test_targets_of_another_task_are_refused(tmp_path: Path) -> None:
    split = split_of(tmp_path, (CAT,))
    with pytest.raises(DataError, match="does not fit the task 'classify'"):
        replace(split, task="classify")
    with pytest.raises(DataError, match="does not fit the task 'detect'"):
        replace(split, samples=(replace(split.samples[0], target=0),))
    with pytest.raises(DataError, match="does not fit the task 'detect' of independent classes"):
        replace(split, scores="independent")
    with pytest.raises(DataError, match="has no mask: the split's task is 'detect'"):
        split.mask(0)
    with pytest.raises(DataError, match="has no class label"):
        split.label(0)
    images = replace(split, task="images", samples=(replace(split.samples[0], target=None),))
    with pytest.raises(DataError, match="has no boxes: the split's task is 'images'"):
        images.boxes(0)


def test_hash_depends_on_every_number_of_a_box_and_on_their_order(tmp_path: Path) -> None:
    other = CAT._replace(x0=1.25)
    targets = [(CAT, DOG), (DOG, CAT), (CAT,), (), (other, DOG), (CAT._replace(label=1), DOG)]
    targets.append((CAT, DOG._replace(ignored=False)))
    assert len({split_of(tmp_path, target).sha256 for target in targets}) == len(targets)


def test_pinned_boxes_come_back_to_the_last_digit(tmp_path: Path) -> None:
    split = split_of(tmp_path / "data", (CAT._replace(x0=0.1 + 0.2), DOG), ())
    path = tmp_path / "val.split.json"
    write_split(split, path)
    again = read_split(path)
    assert again.sha256 == split.sha256 and again.task == "detect"
    assert [sample.target for sample in again.samples] == [sample.target for sample in split.samples]
    path.write_text(path.read_text().replace("5.5", "5.25"))
    with pytest.raises(DataError, match="its list was edited"):
        read_split(path)


@pytest.mark.parametrize(
    "row", ["[1.0, 2.0, 5.0, 6.0, 0]", '[1.0, 2.0, "5", 6.0, 0, false]', "[1, 2, NaN, 6, 0, false]"]
)
def test_a_pinned_box_that_is_none_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "val.split.json"
    write_split(split_of(tmp_path / "data", (CAT,)), path)
    path.write_text(path.read_text().replace("[1.0, 2.0, 5.5, 6.0, 0, false]", row))
    with pytest.raises(DataError, match="not a split file"):
        read_split(path)


def test_damaged_images_are_omitted_with_their_boxes(tmp_path: Path) -> None:
    split = split_of(tmp_path, (CAT,), (DOG,), ())
    (tmp_path / "000.png").write_bytes(b"no image")
    usable = without_damaged(split, skip=True)
    assert (len(usable), usable.skipped_damaged) == (2, 1) and list(usable.boxes(0).labels) == [1]


def test_classes_in_few_images_and_images_without_boxes_stand_on_both_sides(tmp_path: Path) -> None:
    rare = CAT._replace(label=1)
    targets = [(CAT, rare) if index % 10 == 0 else (CAT,) if index % 4 else () for index in range(60)]
    train, val = hold_out(split_of(tmp_path, *targets), 0.25, seed=0)
    for part, share in ((train, 0.75), (val, 0.25)):
        given = [part.boxes(index) for index in range(len(part))]
        for wanted in (lambda labels: 1 in labels, lambda labels: not len(labels)):
            whole = sum(wanted([box.label for box in target]) for target in targets)
            assert sum(wanted(boxes.labels) for boxes in given) == pytest.approx(whole * share, abs=1)


def test_what_the_classes_lack_is_noted(tmp_path: Path) -> None:
    assert class_notes(split_of(tmp_path, (CAT,) * 3, (CAT,) * 3, (DOG, CAT._replace(label=1)), ())) == [
        "1 classes have fewer than 5 boxes to train on: 'dog' 1",
        "1 of 4 images have no box: all that is in them is background",
    ]
    assert class_notes(split_of(tmp_path, (CAT,) * 5, (DOG,), contents=(3, 3))) == [
        "1 of 2 classes have no box to train on: 'dog'",
        "1 images are there twice, with other boxes: 000.png and 001.png",
    ]
    with pytest.raises(DataError, match="none of its 2 images has a box"):
        class_notes(split_of(tmp_path, (), (DOG,)))
