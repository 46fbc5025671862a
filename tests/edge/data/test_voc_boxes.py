"""Pascal VOC's files of boxes: edges, images, lists, and what is refused with its line."""

from pathlib import Path

import pytest

from edge.data.open_split import open_split
from edge.errors import DataError
from tests.support.box_files import (
    boxes_of,
    save_images,
    voc,
    voc_object,
    voc_text,
    write_files,
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
