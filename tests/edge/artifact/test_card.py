"""A card says everything about a foreign model, or is refused with the key that is wrong."""

from pathlib import Path

import pytest

from edge.artifact.card import read_card
from edge.errors import RecipeError
from tests.support.preprocess_text import preprocess_text

CARD = (
    """task = "classify"
"""
    + preprocess_text(224, 224, fit="crop", crop_fraction=0.875)
    + """[labels]
names = ["cat", "dog"]
"""
)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "card.toml"
    path.write_text(text)
    return path


def test_a_card_gives_task_preprocessing_and_labels(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, CARD))
    assert card.task == "classify" and card.labels.names == ("cat", "dog")
    assert card.preprocess.crop_fraction == 0.875 and card.preprocess.mean == (127.5, 127.5, 127.5)


def test_names_may_stand_in_a_file_beside_the_card(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog, hound\n\n")
    card = read_card(write(tmp_path, CARD.replace('names = ["cat", "dog"]', 'file = "labels.txt"')))
    assert card.labels.names == ("cat", "dog, hound")


def test_byte_order_marks_are_no_part_of_a_card_or_its_names(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfsky\nroad\n")
    path = write(tmp_path, "\ufeff" + CARD.replace('names = ["cat", "dog"]', 'file = "labels.txt"'))
    assert read_card(path).labels.names == ("sky", "road")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("height = 224", "heigth = 224", r"\[preprocess\] unknown key 'heigth'; did you mean 'height'\?"),
        ('interpolation = "bilinear"\n', "", r"\[preprocess\] 'interpolation' is missing"),
        ('task = "classify"\n', "", r"'task' is missing"),
        ('"classify"', '"clasify"', r"task = 'clasify': Input should be"),
        ("height = 224", "height = 0", r"\[preprocess\] height = 0: "),
        ("0.875", "1.5", r"\[preprocess\] crop_fraction = 1.5: "),
        ('names = ["cat", "dog"]', "", r"\[labels\] give either names or file"),
        ('names = ["cat", "dog"]', "names = []", r"\[labels\] names = \[\]: "),
        ('names = ["cat", "dog"]', 'file = "none.txt"', r"\[labels\] file = 'none.txt': no such card or label file"),
        ("[labels]", "[labels]\npalette = [[0, 0, 0]]", r"\[labels\] palette has 1 colours for 2 names"),
        ("[labels]", "[labels", r"is not TOML"),
        ("height = 224", 'height = "224"', r"\[preprocess\] height = '224': Input should be a valid integer"),
        ("height = 224", "height = true", r"\[preprocess\] height = True: Input should be a valid integer"),
        ("height = 224", "height = 224.0", r"\[preprocess\] height = 224.0: Input should be a valid integer"),
        ("height = 224", "height = 0x" + "f" * 5000, r"card\.toml: Exceeds the limit"),
        ("height = 224", "height = 2026-01-01", r"dates and times have no place in a card"),
        ("mean = [127.5, 127.5, 127.5]", "mean = 127.5", r"\[preprocess\] mean = 127.5: give a list"),
        ("mean = [127.5, 127.5, 127.5]", "mean = [1]", r"\[preprocess\] mean = \[1\]: too few values in this list"),
        ("mean = [127.5, 127.5, 127.5]", "mean = [1, 2, 3, 4]", r"mean = \[1, 2, 3, 4\]: at most 3 in this list"),
        (
            "mean = [127.5, 127.5, 127.5]",
            "mean = ['1', 2, 3]",
            r"\[preprocess\] mean = '1': Input should be a valid number",
        ),
        ('names = ["cat", "dog"]', 'names = "cat"', r"\[labels\] names = 'cat': give a list"),
        ("[labels]", "[label]", r"'labels' is missing|unknown key 'label'; did you mean 'labels'"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, CARD.replace(old, new))
    with pytest.raises(RecipeError, match=message) as caught:
        read_card(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, CARD.replace("mean = [127.5, 127.5, 127.5]", "mean = [127, 127, 127]")))
    assert card.preprocess.mean == (127.0, 127.0, 127.0)


def test_a_card_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: no such card"):
        read_card(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"binary\.toml: is not UTF-8 text"):
        read_card(tmp_path / "binary.toml")


def test_a_task_that_nothing_handles_is_refused(tmp_path: Path) -> None:
    """The message says which are known."""
    (tmp_path / "card.toml").write_text(CARD.replace('"classify"', '"pose"'))
    with pytest.raises(RecipeError, match="task"):
        read_card(tmp_path / "card.toml")
