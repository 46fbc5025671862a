"""Boxes as people have them: COCO, Pascal VOC and YOLO give the same split, and whatever is wrong is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.data.boxes import Box, BoxTarget
from edge.data.damaged import without_damaged
from edge.data.open_split import open_split
from edge.data.recipe_splits import recipe_splits
from edge.errors import DataError, EdgeError, UsageError
from edge.recipe.recipe import Data
from tests.support.box_files import (
    annotation,
    boxes_of,
    coco_image,
    save_images,
    voc_object,
    voc_text,
    write_coco,
    write_files,
)


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
