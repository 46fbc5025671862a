"""A split decodes lazily, names what is wrong, and its hash stands for its content."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.split_file import read_split, write_split
from edge.data.splits import Sample, Split
from edge.errors import DataError, UsageError

RNG = np.random.default_rng(3)
IMAGE = RNG.integers(0, 256, size=(6, 8, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def segment(tmp_path: Path, mask: np.ndarray, **arguments: object) -> Split:
    sample = Sample(name="a", image=save(tmp_path / "a.png", IMAGE), target=save(tmp_path / "masks/a.png", mask))
    return Split(samples=(sample,), task="segment", classes=("x", "y"), **arguments)  # type: ignore[arg-type]


def classify(tmp_path: Path, labels: list[int]) -> Split:
    samples = tuple(
        Sample(name=f"{index}.png", image=save(tmp_path / f"{index}.png", IMAGE + index), target=label)
        for index, label in enumerate(labels)
    )
    return Split(samples=samples, task="classify", classes=("x", "y", "z"))


def test_class_names_that_no_file_can_hold_are_refused() -> None:
    """A folder's name may be bytes that are no text; a checkpoint would find out after an epoch."""
    sample = Sample(name="a", image=Path("a"), target=0)
    with pytest.raises(DataError, match="has a name that is not UTF-8 text"):
        Split(samples=(sample,), task="classify", classes=("x", "sur\udcff"), origin="photos")


def test_image_and_label_come_back(tmp_path: Path) -> None:
    split = classify(tmp_path, [2, 0])
    assert len(split) == 2
    assert split.target(0) == 2
    assert split.label(1) == 0
    assert np.array_equal(split.image(0), IMAGE[:, :, ::-1])
    assert split.subset([1]).name(0) == "1.png"


def test_hash_depends_on_order_names_content_and_labels(tmp_path: Path) -> None:
    split = classify(tmp_path, [2, 0])
    hashes = {
        split.sha256,
        split.subset([1, 0]).sha256,
        split.subset([0]).sha256,
        classify(tmp_path, [2, 1]).sha256,
    }
    save(tmp_path / "1.png", IMAGE + 9)
    hashes.add(split.subset([0, 1]).sha256)
    assert len(hashes) == 5


def test_hash_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    assert classify(tmp_path / "one", [2, 0]).sha256 == classify(tmp_path / "two", [2, 0]).sha256


def test_mask_value_that_is_no_class_names_the_file(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[3, 3] = 7
    with pytest.raises(DataError, match=r"masks/a\.png: mask value 7 at x 3, y 3 is not a class; allowed are 0 to 1"):
        segment(tmp_path, mask).target(0)
    assert segment(tmp_path, mask, ignore_index=7).mask(0)[3, 3] == 7


def test_mask_table_maps_file_values_to_classes(tmp_path: Path) -> None:
    mask = np.full((6, 8), 33, dtype=np.uint8)
    table = tuple(1 if value == 33 else 255 for value in range(256))
    split = segment(tmp_path, mask, mask_table=table, ignore_index=255)
    assert np.array_equal(split.mask(0), np.ones((6, 8), dtype=np.uint8))


def test_check_refuses_a_mask_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"masks/a\.png: mask is 5x8 \(height x width\), its image a\.png is 6x8"):
        segment(tmp_path, np.zeros((5, 8), dtype=np.uint8)).check(0)


def test_a_mask_read_with_its_image_has_the_image_s_size(tmp_path: Path) -> None:
    split = segment(tmp_path, np.zeros((3, 4), dtype=np.uint8))
    with pytest.raises(DataError, match=r"masks/a\.png: mask is 3x4 \(height x width\), its image a\.png is 6x8"):
        split.mask(0, split.image(0))


def test_a_name_that_is_no_utf8_has_a_hash(tmp_path: Path) -> None:
    sample = Sample(name="\udcff.png", image=lambda: IMAGE, target=0)
    assert len(Split(samples=(sample,), task="classify", classes=("x",)).sha256) == 64


@pytest.mark.parametrize("place", ["/etc/passwd", "../other/a.png", "x/../../a.png"])
def test_a_pinned_split_leads_nowhere_else(tmp_path: Path, place: str) -> None:
    path = tmp_path / "lists" / "a.split.json"
    path.parent.mkdir()
    write_split(classify(tmp_path / "lists", [2, 0]), path)
    path.write_text(path.read_text().replace('"image": "0.png"', f'"image": "{place}"'))
    with pytest.raises(DataError, match=f"'{place}' lies outside the split file's folder"):
        read_split(path)
    with pytest.raises(UsageError, match=r"lies outside .*lists, where its split file is to be"):
        write_split(classify(tmp_path / "data", [0]), path)


def test_missing_mask_is_named(tmp_path: Path) -> None:
    split = segment(tmp_path, np.zeros((6, 8), dtype=np.uint8))
    (tmp_path / "masks/a.png").unlink()
    with pytest.raises(DataError, match=r"masks/a\.png: no such file"):
        split.check(0)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ((), "no samples"),
        ((Sample(name="a", image=Path("a"), target=5),), "label 5 is out of range; there are 3"),
        ((Sample(name="a", image=Path("a"), target=None),), "does not fit the task 'classify'"),
        ((Sample(name="a", image=Path("a"), target=0), Sample(name="a", image=Path("b"), target=0)), "listed twice"),
    ],
)
def test_split_that_does_not_hold_is_refused(samples: tuple[Sample, ...], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        Split(samples=samples, task="classify", classes=("x", "y", "z"), origin="here")


def test_target_of_images_alone_is_refused(tmp_path: Path) -> None:
    sample = Sample(name="a", image=save(tmp_path / "a.png", IMAGE), target=None)
    with pytest.raises(DataError, match="has no target"):
        Split(samples=(sample,), task="images").target(0)


@pytest.mark.parametrize("kind", ["classify", "segment"])
def test_pinned_split_round_trips(tmp_path: Path, kind: str) -> None:
    if kind == "classify":
        split = classify(tmp_path / "data", [2, 0, 1])
    else:
        split = segment(tmp_path / "data", np.ones((6, 8), dtype=np.uint8), palette=((1, 2, 3), (4, 5, 6)))
    path = tmp_path / "val.split.json"
    write_split(split, path)
    again = read_split(path)
    assert again.sha256 == split.sha256
    assert (again.task, again.classes, again.palette) == (split.task, split.classes, split.palette)
    assert np.array_equal(again.image(0), split.image(0))
    assert np.array_equal(again.target(0), split.target(0))


def test_changed_image_of_a_pinned_split_is_refused_by_name(tmp_path: Path) -> None:
    split = classify(tmp_path, [2, 0])
    write_split(split, tmp_path / "a.split.json")
    save(tmp_path / "1.png", IMAGE + 77)
    pinned = read_split(tmp_path / "a.split.json")
    pinned.image(0)
    with pytest.raises(DataError, match=r"1\.png: the file changed since it was pinned"):
        pinned.image(1)


def test_a_whole_number_may_be_written_as_another_program_writes_it(tmp_path: Path) -> None:
    """JSON has one kind of number: 255.0 is 255."""
    mask = np.ones((6, 8), dtype=np.uint8)
    path = tmp_path / "val.split.json"
    write_split(segment(tmp_path / "data", mask, palette=((1, 2, 3), (4, 5, 6)), ignore_index=255), path)
    text = path.read_text()
    path.write_text(text.replace("[1, 2, 3]", "[1.0, 2.0, 3]").replace('"ignore_index": 255', '"ignore_index": 255.0'))
    assert path.read_text().count(".0") == 3
    assert (read_split(path).palette[0], read_split(path).ignore_index) == ((1, 2, 3), 255)


def test_edited_list_of_a_pinned_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.split.json"
    write_split(classify(tmp_path, [2, 0]), path)
    path.write_text(path.read_text().replace('"label": 2', '"label": 1'))
    with pytest.raises(DataError, match="its list was edited"):
        read_split(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', "\x00\x01"])
def test_foreign_split_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.split.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.split\.json: not a split file") as caught:
        read_split(path)
    assert "\n" not in str(caught.value)


def test_truncated_split_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.split.json"
    write_split(classify(tmp_path, [2, 0]), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a split file"):
        read_split(path)


def test_writing_refuses_another_suffix_and_drawn_samples(tmp_path: Path) -> None:
    drawn = Split(samples=(Sample(name="a", image=lambda: IMAGE, target=0),), task="classify", classes=("x",))
    with pytest.raises(UsageError, match=r"ends in \.split\.json"):
        write_split(drawn, tmp_path / "a.json")
    with pytest.raises(UsageError, match="is drawn, not a file"):
        write_split(drawn, tmp_path / "a.split.json")
    assert not (tmp_path / "a.split.json").exists()
