"""A user's own folders are splits: label files, class folders, mask folders, CamVid, Cityscapes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.class_counts import class_shares
from edge.data.class_names import ClassNames, read_class_names
from edge.data.damaged import damaged
from edge.data.image_folder import image_folder
from edge.data.image_tree import parts
from edge.data.open_split import open_split
from edge.data.scenes import camvid, cityscapes
from edge.errors import DataError, EdgeError, UsageError


def save(path: Path, value: int = 0, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (4, 6, 3) if channels == 3 else (4, 6)
    path.write_bytes(cv2.imencode(".png", np.full(shape, value, dtype=np.uint8))[1].tobytes())


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for name in ("lady's slipper.png", "b,c.png", "d.png"):
        save(tmp_path / "images" / name)
    return tmp_path / "images"


def write(folder: Path, text: str) -> Path:
    path = folder.parent / "labels.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "lady's slipper.png\t2\nb,c.png\t0\n",
        "lady's slipper.png,2\nb,c.png,0\n",
        "lady's slipper.png 2\r\nb,c.png 0\r\n",
        "\ufeff# a comment\nlady's slipper.png\t2\n\nb,c.png\t0\n",
    ],
)
def test_label_file_reads_tabs_commas_and_spaces(photographs: Path, text: str) -> None:
    split = image_folder(photographs, write(photographs, text))
    assert [split.name(0), split.name(1)] == ["lady's slipper.png", "b,c.png"]
    assert [split.label(0), split.label(1)] == [2, 0]
    assert split.classes == ("0", "1", "2")


def test_label_file_reads_class_names(photographs: Path) -> None:
    split = image_folder(photographs, write(photographs, "d.png\tzebra\nb,c.png\tant\n"))
    assert split.classes == ("ant", "zebra")
    assert [split.label(0), split.label(1)] == [1, 0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x.png\t0\n", r"x\.png: no such image; labels\.txt line 1 lists it"),
        ("d.png\t0\nd.png\t1\n", "'d.png' is listed twice"),
        ("../images/d.png\t0\n", "line 1: .* lies outside"),
        ("/d.png\t0\n", "line 1: .* lies outside"),
        ("d.png\n", "line 1: expected 'file<TAB>class'"),
        ("\n", "no labels"),
        ("d.png\t9\n", "label 9 is out of range; there are 2 classes"),
        ("d.png\tcta\n", "line 1: unknown class 'cta'; did you mean 'cat'"),
    ],
)
def test_bad_label_file_is_refused(photographs: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        image_folder(photographs, write(photographs, text), ClassNames(names=("cat", "dog")))


@pytest.mark.parametrize(
    ("names", "labels", "indices"),
    [
        (("1", "2", "3"), ("1", "2"), [0, 1]),
        (("0", "10", "2"), ("2", "10"), [2, 1]),
        (("02", "01", "00"), ("00", "02"), [2, 0]),
        (("cat", "dog"), ("1", "0"), [1, 0]),
        (("7", "dog"), ("dog", "7"), [1, 0]),
        (("5", "6", "7"), ("0", "2"), [0, 2]),
    ],
)
def test_a_label_that_is_a_class_name_is_that_class_also_where_names_are_numbers(
    photographs: Path, names: tuple[str, ...], labels: tuple[str, str], indices: list[int]
) -> None:
    text = "".join(f"{name}\t{label}\n" for name, label in zip(("b,c.png", "d.png"), labels, strict=True))
    split = image_folder(photographs, write(photographs, text), ClassNames(names=names))
    assert [split.label(0), split.label(1)] == indices


def test_names_and_indices_in_one_file_are_refused(photographs: Path) -> None:
    path = write(photographs, "b,c.png\t2\nd.png\t1\n")
    with pytest.raises(DataError, match="line 2: unknown class '1'"):
        image_folder(photographs, path, ClassNames(names=("0", "10", "2")))


@pytest.mark.parametrize("label", ["9" * 5000, "1000000000"])
def test_a_label_beyond_any_number_of_classes_is_refused(photographs: Path, label: str) -> None:
    for classes in (None, ClassNames(names=("cat", "dog"))):
        try:
            split = image_folder(photographs, write(photographs, f"d.png\t{label}\n"), classes)
        except DataError as error:
            assert "out of range" in str(error)
        else:
            assert classes is None and split.classes == (label,)  # a name like any other


def test_a_line_of_column_names_is_passed_over(photographs: Path) -> None:
    split = image_folder(photographs, write(photographs, "filename,label\nd.png,zebra\n"))
    assert (len(split), split.classes) == (1, ("zebra",))
    with pytest.raises(DataError, match="no such image"):
        image_folder(photographs, write(photographs, "d,zebra\ne,ant\n"))


def test_class_folders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/2.png", "cat/1.png"):
        save(tmp_path / name)
    split = image_folder(tmp_path)
    assert split.classes == ("cat", "dog")
    assert [split.name(index) for index in range(3)] == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert image_folder(tmp_path, classes=ClassNames(names=("dog", "cat"))).label(0) == 1
    with pytest.raises(DataError, match="unknown class 'cat'"):
        image_folder(tmp_path, classes=ClassNames(names=("dog", "bird")))


def test_class_folders_hold_folders_links_and_what_other_systems_leave(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    for name in ("dog/2024/May/1.PNG", "dog/0.png", "cat's é/a b.jpeg", "__MACOSX/cat/._1.png", "dog/._0.png"):
        save(photographs / name)
    save(tmp_path / "elsewhere/9.webp")
    (photographs / "fox").symlink_to(tmp_path / "elsewhere")
    (photographs / "dog/again").symlink_to(photographs / "dog")
    (photographs / "owl").mkdir()
    for name in ("dog/Thumbs.db", ".DS_Store"):
        (photographs / name).write_bytes(b"x")
    split = image_folder(photographs)
    assert [sample.name for sample in split.samples] == [
        "cat's é/a b.jpeg",
        "dog/0.png",
        "dog/2024/May/1.PNG",
        "fox/9.webp",
    ]
    assert split.classes == ("cat's é", "dog", "fox")
    assert split.notes == ("without an image, and no class: owl",)


def test_a_folder_that_is_divided_already_is_refused_with_its_parts(tmp_path: Path) -> None:
    for name in ("Train/cat/1.png", "Train/dog/1.png", "valid/cat/2.png", "valid/dog/2.png"):
        save(tmp_path / name)
    assert parts(tmp_path) == {"train": tmp_path / "Train", "val": tmp_path / "valid"}
    with pytest.raises(
        UsageError, match=r"holds the splits Train, valid, not classes; name one of them, such as .*Train$"
    ):
        image_folder(tmp_path)
    save(tmp_path / "bus/1.png")
    assert parts(tmp_path) == {} and image_folder(tmp_path).classes == ("Train", "bus", "valid")


def test_one_folder_named_train_is_a_class_unless_it_holds_folders(tmp_path: Path) -> None:
    save(tmp_path / "train/1.png")
    assert parts(tmp_path) == {}
    save(tmp_path / "train/cat/1.png")
    assert parts(tmp_path) == {"train": tmp_path / "train"}


def test_images_alone_are_a_split_without_targets(photographs: Path) -> None:
    split = image_folder(photographs)
    assert (split.task, len(split), split.classes) == ("images", 3, ())
    assert not damaged(split)


def test_empty_missing_and_mixed_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images in this folder"):
        image_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        image_folder(tmp_path / "none")
    save(tmp_path / "cat/1.png")
    save(tmp_path / "stray.png")
    with pytest.raises(DataError, match=r"stray\.png: lies beside class folders"):
        image_folder(tmp_path)


def make_camvid(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    (root / "classes.txt").write_text("0\tSky\t128,128,128\n1\tRoad\t128,64,128\n2\tVoid\t0,0,0\n")
    save(root / "train/x.png")
    save(root / "trainannot/x.png", 2, channels=1)


def test_camvid_leaves_void_out(tmp_path: Path) -> None:
    make_camvid(tmp_path)
    split = camvid(tmp_path, "train")
    assert (split.classes, split.ignore_index) == (("Sky", "Road"), 2)
    assert split.palette == ((128, 128, 128), (128, 64, 128))
    assert not damaged(split)
    with pytest.raises(UsageError, match="unknown part 'trian'; did you mean 'train'"):
        camvid(tmp_path, "trian")


def test_cityscapes_label_ids_become_train_ids(tmp_path: Path) -> None:
    save(tmp_path / "leftImg8bit/val/ulm/ulm_000_leftImg8bit.png")
    save(tmp_path / "gtFine/val/ulm/ulm_000_gtFine_labelIds.png", 26, channels=1)
    split = cityscapes(tmp_path, "val")
    assert len(split.classes) == 19
    assert split.classes[int(split.mask(0)[0, 0])] == "car"
    save(tmp_path / "gtFine/val/ulm/ulm_000_gtFine_labelIds.png", 4, channels=1)
    assert int(cityscapes(tmp_path, "val").mask(0)[0, 0]) == split.ignore_index == 255
    save(tmp_path / "gtFine/val/ulm/ulm_000_gtFine_labelTrainIds.png", 13, channels=1)
    assert cityscapes(tmp_path, "val").classes[int(cityscapes(tmp_path, "val").mask(0)[0, 0])] == "car"


def test_cityscapes_without_a_mask_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "leftImg8bit/val/ulm/ulm_000_leftImg8bit.png")
    with pytest.raises(DataError, match=r"the mask of ulm_000_leftImg8bit\.png is missing"):
        cityscapes(tmp_path, "val")


def test_class_file_reads_names_colours_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("cat\ndog\n")
    assert read_class_names(path).names == ("cat", "dog")
    path.write_text("0\tn01\tcat, tom\n1\tn02\tcrane\n2\tn03\tcrane\n")
    assert read_class_names(path).names == ("cat, tom", "crane (1)", "crane (2)")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no class names"),
        ("0\ta\n0\tb\n", "line 2: index 0 after 0; give them in rising order"),
        ("0\ta\nb\tc\n", "line 2: index 'b', expected a number"),
        ("0\ta\n300\tb\n", "line 2: value 300; a mask has values 0 to 255"),
        ("a 1 2 3\n4 5 6\n", "give all or none"),
        ("0\ta\t1,2,3\n1\tb\n", "1 of 2 classes have a colour"),
        ("0\ta\t1,2,300\n", "line 1: a colour has values 0 to 255"),
    ],
)
def test_bad_class_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        read_class_names(path)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({}, "give --images or --split"),
        ({"labels": "a"}, "--labels without --images"),
        ({"images": "a", "split": "b"}, "omit --images"),
        ({"images": "a", "labels": "b", "masks": "c"}, "give one of them"),
        ({"split": "camvd:x:val"}, "unknown kind of split 'camvd'; did you mean 'camvid'"),
        ({"split": "camvid:x"}, "expected KIND:FOLDER:PART"),
        ({"split": "generated:segmnt:val"}, "unknown task 'segmnt'; did you mean 'segment'"),
        ({"split": "generated:segment:vla"}, "unknown part 'vla'; did you mean 'val'"),
        ({"split": "generated:segment:val:few"}, "the number of samples is 'few'"),
        ({"split": "generated:segment:val:0"}, "0 samples"),
        ({"split": "none.split.json"}, "no such split file"),
    ],
)
def test_request_that_does_not_hold_is_refused(asked: dict[str, str], problem: str) -> None:
    with pytest.raises(EdgeError, match=problem):
        open_split(**asked)


def test_every_kind_of_request_opens(tmp_path: Path, photographs: Path) -> None:
    make_camvid(tmp_path / "camvid")
    labels = write(photographs, "d.png\t0\n")
    root = Path(__file__).parents[3] / "calibration_data"
    assert len(open_split(split=f"camvid:{tmp_path / 'camvid'}:train")) == 1
    assert len(open_split(images=photographs, labels=labels)) == 1
    camvid_names = tmp_path / "camvid/classes.txt"
    asked = {"images": tmp_path / "camvid/train", "masks": tmp_path / "camvid/trainannot", "classes": camvid_names}
    assert len(open_split(**asked)) == 1
    assert len(open_split(split="generated:classify:val:7")) == 7
    assert len(open_split(split=root / "classify.split.json")) == 32


@pytest.mark.data
def test_real_camvid_has_its_published_parts_and_shares(test_data: Path) -> None:
    train, val = camvid(test_data / "camvid", "train"), camvid(test_data / "camvid", "val")
    assert (len(train), len(val), len(val.classes), val.ignore_index) == (367, 101, 11, 11)
    # The table of shares counts void among the pixels (1.70 % in val); class_shares does not.
    published = np.array([9.18, 25.96, 0.56, 28.95, 8.72, 16.34, 0.89, 3.08, 1.75, 0.65, 2.22])
    assert np.abs(class_shares(val) * 98.30 - published).max() < 0.01
    assert not damaged(val)


@pytest.mark.data
def test_real_photographs_open_with_their_label_file(test_data: Path) -> None:
    folder = test_data / "imagenet_samples"
    split = open_split(images=folder / "dev", labels=folder / "dev_labels.txt", classes=folder / "labels.txt")
    assert (len(split), len(split.classes)) == (500, 1000)
    assert [split.label(index) for index in range(500)] == list(range(0, 1000, 2))
    assert min(split.image(0).shape[:2]) == 320


def test_a_list_that_is_missing_is_called_what_it_is(photographs: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv: no such label file$"):
        open_split(images=str(photographs), labels="none.tsv")
    with pytest.raises(DataError, match=r"none\.txt: no such file of class names$"):
        read_class_names(Path("none.txt"))


def test_a_name_that_two_classes_have_is_no_label(tmp_path: Path) -> None:
    """Names of a model's card may repeat, as ImageNet's `crane` does: which one is meant is not guessed."""
    classes = ClassNames(names=("crane", "dog", "crane"))
    for name in ("crane", "dog"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.zeros((4, 4, 3), np.uint8))
    labels = tmp_path / "labels.tsv"
    labels.write_text("crane/a.png\tcrane\n")
    for asked in (labels, None):
        with pytest.raises(DataError, match="'crane' is the name of the classes 0 and 2; give a label file of indices"):
            image_folder(tmp_path, asked, classes)
    labels.write_text("crane/a.png\t2\ndog/a.png\t1\n")
    assert [sample.target for sample in image_folder(tmp_path, labels, classes).samples] == [2, 1]
    labels.write_text("dog/a.png\tdog\n")
    assert image_folder(tmp_path, labels, classes).samples[0].target == 1
