"""Boxes as people have them: COCO, Pascal VOC and YOLO give the same split, and whatever is wrong is named."""

import struct
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.data.boxes import Box, BoxTarget
from edge.data.class_names import ClassNames
from edge.data.damaged import without_damaged
from edge.data.decode import read_image
from edge.data.image_size import image_size
from edge.data.open_split import open_split
from edge.data.recipe_splits import recipe_splits
from edge.data.split_file import read_split, write_split
from edge.data.splits import Split
from edge.errors import DataError, EdgeError, UsageError
from edge.recipe.recipe import Data
from tests.support.box_files import (
    annotation,
    coco_image,
    save_images,
    voc_object,
    voc_text,
    write_coco,
    write_files,
)


def boxes_of(split: Split) -> dict[str, list[tuple[str, tuple[float, float, float, float], bool]]]:
    """By image: class name, edges and whether ignored, of every box."""
    found = {}
    for sample in split.samples:
        assert isinstance(sample.target, BoxTarget)
        found[sample.name] = [(split.classes[box.label], box[:4], box.ignored) for box in sample.target.boxes]
    return found


def coco(folder: Path, annotations: list[object], categories: object = None, **image: object) -> Split:
    save_images(folder / "images", "a.png", "b.png")
    rows = [coco_image(1, "a.png", **image), coco_image(2, "b.png")]
    return open_split(images=folder / "images", boxes=write_coco(folder / "c.json", rows, annotations, categories))


def voc(folder: Path, objects: str, **more: str) -> Split:
    save_images(folder / "images", "a.png")
    boxes = write_files(folder / "xml", a_dot_xml=voc_text(objects, **more))
    return open_split(images=folder / "images", boxes=boxes)


def yolo(folder: Path, text: str, names: str = "cat\ndog\n") -> Split:
    save_images(folder / "images", "a.png")
    boxes = write_files(folder / "labels", a_dot_txt=text, classes_dot_txt=names)
    return open_split(images=folder / "images", boxes=boxes)


def test_coco_and_voc_of_the_same_photographs_give_the_same_boxes(test_data: Path) -> None:
    bccd = test_data / "bccd"
    for part, images in (("train", 205), ("val", 87)):
        by_json = open_split(images=bccd / "JPEGImages", boxes=bccd / f"{part}.json")
        by_list = open_split(images=bccd / "JPEGImages", boxes=bccd / "ImageSets" / "Main" / f"{part}.txt")
        assert len(by_json) == images and boxes_of(by_json) == boxes_of(by_list)
        assert by_json.classes == ("RBC", "WBC", "Platelets") and by_list.classes == ("Platelets", "RBC", "WBC")
        assert sum(len(boxes) for boxes in boxes_of(by_json).values()) == {"train": 2804, "val": 1137}[part]


def test_boxes_without_area_are_omitted_and_named(test_data: Path) -> None:
    bccd = test_data / "bccd"
    split = open_split(images=bccd / "JPEGImages", boxes=bccd / "Annotations")
    assert len(split) == 292 and split.notes == (
        "2 boxes have no area and are omitted: BloodImage_00338.xml line 158, BloodImage_00343.xml line 50",
    )


def test_yolo_of_the_same_photographs_gives_the_same_boxes(test_data: Path, tmp_path: Path) -> None:
    bccd = test_data / "bccd"
    split = open_split(images=bccd / "JPEGImages", boxes=bccd / "val.json")
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    for sample in split.samples:
        assert isinstance(sample.target, BoxTarget) and isinstance(sample.image, Path)
        (tmp_path / "images" / sample.name).symlink_to(sample.image)
        lines = [
            f"{box.label} {(box.x0 + box.x1) / 1280} {(box.y0 + box.y1) / 960} {(box.x1 - box.x0) / 640} "
            f"{(box.y1 - box.y0) / 480}"
            for box in sample.target.boxes
        ]
        (tmp_path / "labels" / sample.name).with_suffix(".txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("nc: 3\nnames: ['RBC', WBC, \"Platelets\"]  # cells\n")
    again = open_split(images=tmp_path / "images", boxes=tmp_path / "labels")
    assert boxes_of(again) == boxes_of(split) and again.classes == split.classes
    assert again.sha256 == split.sha256 and again.notes == (f"class names: {tmp_path / 'data.yaml'}",)


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
        (annotation(1, 3, [50, 0, 5, 5]), "left 50, .* lies outside the image, a.png of 40x20 pixels"),
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
    with pytest.raises(DataError, match=r"c\.json: says that a\.png is 80x40, but it is 40x20"):
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
    with pytest.raises(DataError, match=r"says that a\.png is 100000000\.\.\.x20, but it is 40x20"):
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


def test_voc_counts_edges_and_its_published_files_pixels_from_one(tmp_path: Path) -> None:
    objects = voc_object("cat", (1, 1, 40, 20)) + voc_object("dog", (5, 6, 7.5, 8), "<difficult>1</difficult>")
    split = voc(tmp_path, objects)
    assert boxes_of(split)["a.png"] == [("cat", (1, 1, 40, 20), False), ("dog", (5, 6, 7.5, 8), True)]
    source = "<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>"
    published = voc(tmp_path, objects, source=source)
    assert boxes_of(published)["a.png"] == [("cat", (0, 0, 40, 20), False), ("dog", (4, 5, 7.5, 8), True)]


def test_voc_finds_images_by_the_files_name_then_by_what_it_says(tmp_path: Path) -> None:
    images = save_images(tmp_path / "images", "a.png", "x/b.png", "c.png")
    one = voc_object("cat", (1, 1, 4, 4))
    boxes = write_files(
        tmp_path / "xml",
        a_dot_xml=voc_text(one, filename="renamed.jpg"),
        x__b_dot_xml=voc_text("", filename="b.png"),
        renamed_dot_xml=voc_text("", filename="c.png", size="<size><width>0</width><height>0</height></size>"),
    )
    split = open_split(images=images, boxes=boxes)
    assert {name: len(found) for name, found in boxes_of(split).items()} == {"a.png": 1, "c.png": 0, "x/b.png": 0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (voc_object("cat", (1, "two", 3, 4)), "line 3: ymin is 'two'; expected a number of pixels"),
        (voc_object("cat", ("nan", 2, 3, 4)), "line 3: left nan, .* not all are numbers"),
        (voc_object("cat", (41, 2, 45, 4)), "line 3: .* lies outside the image"),
        (voc_object("cat", (5, 2, 4, 4)), "line 3: .* ends before it begins"),
        (voc_object("", (5, 2, 4, 4)), "line 3: an object without a name"),
        (voc_object("cat", (1, 2, 3, 4), "<difficult>maybe</difficult>"), "line 3: difficult is 'maybe'"),
        ("<object><name>cat</name><robndbox/></object>", "line 3: 'cat' has no bndbox, but name, robndbox"),
        ("<object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>", "line 3: ymin is missing"),
        ("<object>", "line 4: is not well-formed XML: mismatched tag"),
        ("<x>" * 60, "line 3: is nested too deep"),
    ],
)
def test_an_object_that_does_not_hold_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"a\.xml: {problem}"):
        voc(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>', "line 1: a document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "a document type"),
        ("<annotation>&x;</annotation>", "undefined entity"),
        ("<html/>", "is <html>, not <annotation> of Pascal VOC"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "XML"),
        ("<annotation>" + "<a/>" * (1 << 18), "line 1: has over 262144 elements"),
        ("", "no element found"),
    ],
)
def test_entities_and_other_xml_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    save_images(tmp_path / "images", "a.png")
    boxes = write_files(tmp_path / "xml", a_dot_xml=text)
    with pytest.raises(DataError, match=rf"a\.xml: .*{problem}"):
        open_split(images=tmp_path / "images", boxes=boxes)


def test_links_in_a_circle_and_text_in_many_pieces_end(tmp_path: Path) -> None:
    images = save_images(tmp_path / "images", "a.png")
    pieces = "<difficult>" + "<!---->0" * 100000 + "</difficult>"
    boxes = write_files(tmp_path / "xml", a_dot_xml=voc_text(voc_object("cat", (1, 1, 4, 4), pieces)))
    for name in ("x", "y"):
        (boxes / name).symlink_to(boxes)
    with pytest.raises(DataError, match=r"a\.xml: line 3: difficult is '0000"):
        open_split(images=images, boxes=boxes)


def test_a_list_takes_the_files_that_it_names(tmp_path: Path) -> None:
    images = save_images(tmp_path / "JPEGImages", "a.png", "b.png")
    write_files(tmp_path / "Annotations", a_dot_xml=voc_text(voc_object("cat", (1, 1, 4, 4))), b_dot_xml=voc_text(""))
    listed = tmp_path / "ImageSets" / "Main" / "train.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("b\na\n")
    assert list(boxes_of(open_split(images=images, boxes=listed))) == ["b.png", "a.png"]
    for text, problem in (
        ("c\n", r"c\.xml: no such file; train\.txt lists 'c'"),
        ("a 1\n", "line 1: 'a 1' is no name"),
    ):
        listed.write_text(text)
        with pytest.raises(DataError, match=problem):
            open_split(images=images, boxes=listed)


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
        ("0 320 240 100 100", ".*lies outside the image, a.png of 40x20 pixels; these are shares of the image"),
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


def test_what_holds_no_files_of_boxes_says_what_to_name(tmp_path: Path) -> None:
    images = save_images(tmp_path / "images", "a.png")
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    with pytest.raises(DataError, match=r"holds no files of boxes: \.xml of Pascal VOC or \.txt of YOLO"):
        open_split(images=images, boxes=boxes)
    write_files(boxes, all_dot_json="{}")
    with pytest.raises(DataError, match=r"name the file .*all\.json for COCO's"):
        open_split(images=images, boxes=boxes)
    write_files(boxes, a_dot_xml="", a_dot_txt="")
    with pytest.raises(DataError, match=r"holds \.txt and \.xml files of boxes"):
        open_split(images=images, boxes=boxes)
    with pytest.raises(UsageError, match="is of one image; name the folder"):
        open_split(images=images, boxes=boxes / "a.xml")
    write_files(tmp_path, Annotations__a_dot_xml="", data_dot_yaml="names: [x]\n")
    with pytest.raises(UsageError, match="names classes, for --classes"):
        open_split(images=images, boxes=tmp_path / "data.yaml")
    with pytest.raises(UsageError, match="--boxes for detection: give one of them"):
        open_split(images=images, boxes=boxes, masks=boxes)
    with pytest.raises(UsageError, match="--boxes without --images"):
        open_split(boxes=boxes)


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


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_damaged_images_are_named_together_or_omitted(tmp_path: Path, name: str) -> None:
    images = save_images(tmp_path / "images", name, f"x/{name}", "good.png")
    line = "0 0.5 0.5 0.5 0.5\n"
    boxes = write_files(tmp_path / "labels", a_dot_txt=line, x__a_dot_txt=line, good_dot_txt=line)
    for path in (images / name, images / "x" / name):
        path.write_bytes(path.read_bytes()[:20])
    split = open_split(images=images, boxes=boxes)
    with pytest.raises(DataError, match="2 of 3 images cannot be used"):
        without_damaged(split)
    usable = without_damaged(split, skip=True)
    assert (len(usable), usable.skipped_damaged) == (1, 2) and len(usable.boxes(0).labels) == 1


def test_a_recipes_validation_has_the_classes_of_its_training(tmp_path: Path) -> None:
    images = save_images(tmp_path / "images", "a.png")
    train = write_files(
        tmp_path / "t", a_dot_xml=voc_text(voc_object("dog", (1, 1, 4, 4)) + voc_object("cat", (1, 1, 5, 5)))
    )
    val = write_files(tmp_path / "v", a_dot_xml=voc_text(voc_object("dog", (1, 1, 4, 4))))
    data = Data.model_validate(
        {"train": {"images": str(images), "boxes": str(train)}, "val": {"images": str(images), "boxes": str(val)}}
    )
    ours, theirs = recipe_splits(data)
    assert theirs is not None and ours.classes == theirs.classes == ("cat", "dog") and theirs.boxes(0).labels[0] == 1


def test_a_split_of_boxes_is_pinned_beside_its_images(tmp_path: Path) -> None:
    split = coco(tmp_path, [annotation(1, 7, [1, 2, 10.125, 4], iscrowd=1)])
    write_split(split, tmp_path / "a.split.json")
    again = read_split(tmp_path / "a.split.json")
    assert boxes_of(again) == boxes_of(split) and again.sha256 == split.sha256 and again.classes == split.classes


@given(data=st.data())
def test_noise_in_a_file_of_boxes_ends_in_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in a valid file in place of some of its bytes, it is read or refused, never otherwise."""
    folder = tmp_path_factory.mktemp("noise")
    images = save_images(folder / "images", "a.png")
    kinds = {
        "c.json": write_coco(folder / "c.json", [coco_image(1, "a.png")], [annotation(1, 3, [1, 2, 10, 4])]),
        "xml": write_files(folder / "xml", a_dot_xml=voc_text(voc_object("cat", (1, 1, 4, 4)))) / "a.xml",
        "txt": write_files(folder / "txt", a_dot_txt="0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.2 0.2 0.3 0.3\n") / "a.txt",
    }
    kind = data.draw(st.sampled_from(sorted(kinds)))
    path = kinds[kind]
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path.write_bytes(bytes(content))
    try:
        split = open_split(images=images, boxes=folder / kind)
    except EdgeError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(box, Box) for box in split.samples[0].target.boxes)  # type: ignore[union-attr]


def test_classes_of_a_model_are_those_of_a_folder(tmp_path: Path) -> None:
    coco(tmp_path, [annotation(1, 7, [1, 2, 10, 4])])
    names = ClassNames(names=("bird", "dog"))
    split = open_split(images=tmp_path / "images", boxes=tmp_path / "c.json", classes=names)
    assert split.classes == ("bird", "dog") and split.boxes(0).labels[0] == 1
