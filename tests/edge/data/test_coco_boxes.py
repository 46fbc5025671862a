"""COCO's files of boxes: what is read, what is noted, and what is refused with the place in the file."""

import time
from pathlib import Path
from typing import Any

import pytest

from edge.data.boxes import BoxTarget
from edge.data.class_names import ClassNames
from edge.data.open_split import open_split
from edge.data.split_file import read_split, write_split
from edge.errors import DataError
from tests.support.box_files import (
    annotation,
    boxes_of,
    coco,
    coco_image,
    save_images,
    write_coco,
)


def test_coco_keeps_images_without_boxes_crowds_and_ids_with_gaps(tmp_path: Path) -> None:
    split = coco(
        tmp_path,
        [
            annotation(1, 7, [1, 2, 10.5, 4], segmentation=[[1, 2, 3, 4, 5, 6]]),
            annotation(1, 3, [0, 0, 40, 20], iscrowd=1, segmentation={"counts": "x", "size": [20, 40]}),
        ],
    )
    assert split.classes == ("cat", "dog") and split.task == "detect" and not split.notes
    dog, cat = ("dog", (1.0, 2.0, 11.5, 6.0), False), ("cat", (0.0, 0.0, 40.0, 20.0), True)
    assert boxes_of(split) == {"a.png": [dog, cat], "b.png": []}


def test_boxes_with_a_score_are_taken_and_told(tmp_path: Path) -> None:
    rows = [annotation(1, 7, [1, 2, 10, 4], score=0.9), annotation(1, 3, [0, 0, 4, 4], score=None)]
    split = coco(tmp_path, rows)
    assert split.notes == ("1 boxes have a score, as what a detector found has; they are taken for what is there",)
    assert len(boxes_of(split)["a.png"]) == 2


def test_true_is_no_id_of_a_category_numbered_1(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    categories = [{"id": 1, "name": "x"}]
    write_coco(tmp_path / "c.json", [coco_image(1, "a.png")], [annotation(1, True, [0, 0, 5, 5])], categories)
    with pytest.raises(DataError, match="category_id True is not the id of a category"):
        open_split(images=tmp_path / "images", boxes=tmp_path / "c.json")


def test_named_classes_decide_the_order_and_others_are_refused(tmp_path: Path) -> None:
    coco(tmp_path, [annotation(1, 7, [1, 2, 10, 4])])
    (tmp_path / "names.txt").write_text("dog\nbird\n")
    named: dict[str, Any] = {"images": tmp_path / "images", "boxes": tmp_path / "c.json"}
    assert open_split(**named, classes=tmp_path / "names.txt").boxes(0).labels[0] == 0
    (tmp_path / "names.txt").write_text("cat\nbird\n")
    with pytest.raises(DataError, match=r"c\.json: annotations\[0\] \(id 1\): unknown class 'dog'"):
        open_split(**named, classes=tmp_path / "names.txt")
    (tmp_path / "names.yaml").write_text("names:\n  0: cat\n  1: dog\n")
    assert open_split(**named, classes=tmp_path / "names.yaml").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (annotation(1, 3, [50, 0, 5, 5]), "left 50, .* lies outside the image, a.png of 20x40 pixels"),
        (annotation(1, 3, [-9, 0, 5, 5]), "lies outside the image"),
        (annotation(1, 3, [9, 0, -5, 5]), "left 9, top 0, right 4, bottom 5: ends before it begins"),
        (annotation(1, 3, [float("nan"), 0, 5, 5]), "left nan, .* not all are numbers of pixels"),
        (annotation(1, 3, [0, 0, float("inf"), 5]), "not all are numbers of pixels"),
        (annotation(1, 3, [0, 0, 10**400, 5]), "not numbers of pixels"),
        (annotation(1, 3, [0, 0, "5", 5]), r"bbox \[0, 0, \"5\", 5\]; expected four numbers"),
        (annotation(1, 3, [0, 0, 5]), "expected four numbers"),
        (annotation(1, 3, [0, 0, True, 5]), "expected four numbers"),
        (annotation(1, 3, None), r"bbox None; expected \[left, top, width, height\]"),
        (annotation(1, 4, [0, 0, 5, 5]), "category_id 4 is not the id of a category"),
        (annotation(9, 3, [0, 0, 5, 5]), "image_id 9 is not the id of an image"),
        (annotation(True, 3, [0, 0, 5, 5]), "image_id True is not the id of an image"),
        (annotation(1.0, 3, [0, 0, 5, 5]), r"image_id 1\.0 is not the id of an image"),
        (annotation([1], 3, [0, 0, 5, 5]), r"image_id \[1\] is not the id of an image"),
        (annotation(1, 3, [0, 0, 5, 5], iscrowd="0"), "iscrowd '0'; expected 0 or 1"),
        (annotation(1, 3, [0, 0, 5, 5], ignore=[0]), r"ignore \[0\]; expected 0 or 1"),
        (3, r"annotations\[1\]: 3 is no object"),
    ],
)
def test_an_annotation_that_does_not_hold_is_named(tmp_path: Path, row: object, problem: str) -> None:
    with pytest.raises(DataError, match=rf"c\.json: annotations\[1\].*{problem}|{problem}"):
        coco(tmp_path, [annotation(1, 3, [0, 0, 5, 5]), row])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1, 2]", "is a list: what a detector found"),
        ("{}", "has no list 'images'"),
        ('{"images": {}, "annotations": [], "categories": []}', "has no list 'images'"),
        ("{" * 5, "is not JSON"),
        ('{"a":' * 100000, "is nested too deep|is not JSON"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}', "has no images"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "file_name None is no name"),
        ('{"images": [{"id": true}], "annotations": [], "categories": []}', r"images\[0\]: id True is neither"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', r"categories\[0\]: name None is no name"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]}',
            "two of its categories have the id 1",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]}',
            "two categories are named 'x'",
        ),
    ],
)
def test_what_is_no_coco_file_of_objects_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    save_images(tmp_path / "images", "a.png")
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DataError, match=rf"c\.json: .*({problem})"):
        open_split(images=tmp_path / "images", boxes=tmp_path / "c.json")


def test_images_are_found_by_paths_of_another_machine_and_named_where_they_are_not(tmp_path: Path) -> None:
    images = save_images(tmp_path / "images", "x/a.png", "b.png", "spare.png")
    rows = [coco_image(1, "/home/me/set/x/a.png"), coco_image(2, "..\\val\\b.png")]
    split = open_split(images=images, boxes=write_coco(tmp_path / "c.json", rows, []))
    assert [sample.name for sample in split.samples] == ["x/a.png", "b.png"]
    assert split.notes == (
        "2 images are named with folders that are not there, such as /home/me/set/x/a.png",
        f"1 images of {images} are in no file of boxes and omitted: spare.png",
    )
    rows += [coco_image(3, "c.png"), coco_image(4, "d\0.png")]
    with pytest.raises(DataError, match=r"c\.json: images\[2\]: no such image in .*'c.png'; of 4 images 1 more"):
        open_split(images=images, boxes=write_coco(tmp_path / "c.json", rows, []))
    rows[2:] = [coco_image(3, "x/a.png")]
    with pytest.raises(DataError, match=r"'x/a\.png' is given twice \(in c\.json\)"):
        open_split(images=images, boxes=write_coco(tmp_path / "c.json", rows, []))


def test_a_size_that_is_not_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"c\.json: says that a\.png is 40x80 \(height x width\), but it is 20x40"):
        coco(tmp_path, [], width=80, height=40)
    assert coco(tmp_path, [], width=None, height=None).notes == ()
    with pytest.raises(DataError, match=r"width '80' and height 20; expected whole numbers"):
        coco(tmp_path, [], width="80")


def test_names_and_sizes_without_measure_end_in_a_short_line(tmp_path: Path) -> None:
    """Every beginning of a path is looked for without it; one of 100,000 folders takes no more than one of none."""
    images = save_images(tmp_path / "images", "a.png")
    boxes = write_coco(tmp_path / "c.json", [coco_image(1, "a/" * 100_000 + "a.png")], [])
    with pytest.raises(DataError, match=r"no such image in .*: 'a/a/") as raised:
        open_split(images=images, boxes=boxes)
    assert len(str(raised.value)) < 1000
    boxes = write_coco(tmp_path / "c.json", [coco_image(1, "a/" * 1000 + "a.png")], [])
    assert max(map(len, open_split(images=images, boxes=boxes).notes)) < 400
    with pytest.raises(DataError, match=r"says that a\.png is 20x100000000\.\.\. \(height x width\), but it is 20x40"):
        coco(tmp_path, [], width=10**400)


def test_categories_are_looked_up_and_not_looked_for(tmp_path: Path) -> None:
    """Compared with each other, 20,000 names took 20 seconds of a processor."""
    names = [f"class {label}" for label in range(20_000)]
    categories = [{"id": label, "name": name} for label, name in enumerate(names)]
    rows: list[object] = [annotation(1, label, [1, 1, 5, 5]) for label in range(0, 20_000, 1000)]
    start = time.process_time()
    split = coco(tmp_path, rows, categories)
    assert time.process_time() - start < 5
    target = split.samples[0].target
    assert isinstance(target, BoxTarget) and [box.label for box in target.boxes] == list(range(0, 20_000, 1000))


def test_boxes_beyond_the_image_are_clipped_and_repeated_ones_taken_once(tmp_path: Path) -> None:
    rows = [
        annotation(1, 3, [-0.5, 1, 10, 21.25]),
        annotation(1, 3, [5, 5, 5, 5]),
        annotation(1, 3, [5, 5, 5, 5], id=2),
    ]
    split = coco(tmp_path, [*rows, annotation(1, 3, [5, 5, 0, 5]), annotation(1, 7, [5, 5, 5, 5])])
    cat, dog = ("cat", (5.0, 5.0, 10.0, 10.0), False), ("dog", (5.0, 5.0, 10.0, 10.0), False)
    assert boxes_of(split)["a.png"] == [("cat", (0.0, 1.0, 9.5, 20.0), False), cat, dog]
    assert split.notes == (
        "1 boxes have no area and are omitted: c.json annotations[3] (id 1)",
        "1 boxes reach beyond their image, by up to 2.25 pixels, and are clipped: c.json annotations[0] (id 1)",
        "1 boxes repeat another and are taken once: c.json annotations[2] (id 2)",
    )


def test_classes_of_a_model_are_those_of_a_folder(tmp_path: Path) -> None:
    coco(tmp_path, [annotation(1, 7, [1, 2, 10, 4])])
    names = ClassNames(names=("bird", "dog"))
    split = open_split(images=tmp_path / "images", boxes=tmp_path / "c.json", classes=names)
    assert split.classes == ("bird", "dog") and split.boxes(0).labels[0] == 1


def test_a_split_of_boxes_is_pinned_beside_its_images(tmp_path: Path) -> None:
    split = coco(tmp_path, [annotation(1, 7, [1, 2, 10.125, 4], iscrowd=1)])
    write_split(split, tmp_path / "a.split.json")
    again = read_split(tmp_path / "a.split.json")
    assert boxes_of(again) == boxes_of(split) and again.sha256 == split.sha256 and again.classes == split.classes
