"""Files of classes in the forms that tools and data sets write."""

from pathlib import Path

import pytest

from edge.data.class_names import read_class_names
from edge.data.open_split import open_split
from edge.errors import DataError

RED, GREEN = (255, 0, 0), (0, 128, 64)


@pytest.mark.parametrize(
    "text",
    [
        "0\troad\t255,0,0\n1\ttraffic light\t0,128,64\n",
        "0 road 255,0,0\n1 traffic light 0,128,64\n",
        "road 255 0 0\ntraffic light 0 128 64\n",
        "name,r,g,b\nroad,255,0,0\ntraffic light,0,128,64\n",
        'class,"color"\nroad,"255,0,0"\ntraffic light,"0, 128, 64"\n',
        "index;name;r;g;b\r\n0;road;255;0;0\r\n1;traffic light;0;128;64\r\n",
        "name\tr\tg\tb\nroad\t255\t0\t0\ntraffic light\t0\t128\t64\n",
        "# label:color_rgb:parts:actions\nroad:255,0,0::\ntraffic light:0,128,64::\n",
        "255 0 0\troad\n0 128 64\t\ttraffic light\n",
        "0 255 0 0 road\n1 0 128 64 traffic light\n",
        "road,#ff0000\ntraffic light,#008040\n",
        "road (255, 0, 0)\ntraffic light (0, 128, 64)\n",
    ],
)
def test_names_and_colours_of_every_common_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes").write_bytes(text.encode())
    classes = read_class_names(tmp_path / "classes")
    assert classes.names == ("road", "traffic light")
    assert classes.palette == (RED, GREEN)
    assert (classes.ignore_index, classes.mask_table) == (None, None)


@pytest.mark.parametrize(
    "text", ["0,a\n1,b c\n", "0 a\n1 b c\n", "0: a\n1: b c\n", "index,name\n0,a\n1,b c\n", "a\nb c\n"]
)
def test_names_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes").write_text(text)
    assert read_class_names(tmp_path / "classes").names == ("a", "b c")


def test_a_name_may_hold_numbers_and_commas(tmp_path: Path) -> None:
    (tmp_path / "classes").write_text("1 dollar\n5 dollars\ncat, tom\n")
    assert read_class_names(tmp_path / "classes").names == ("1 dollar", "5 dollars", "cat, tom")
    (tmp_path / "classes").write_text("lane 1 255 0 0\nlane 2 0 128 64\n")
    assert read_class_names(tmp_path / "classes").names == ("lane 1", "lane 2")


def test_a_colour_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes").write_text("0 255 0 0\n1 0 128 64\n")
    with pytest.raises(DataError, match="line 1: no class name in '0 255 0 0'"):
        read_class_names(tmp_path / "classes")


def test_values_of_masks_are_no_indices_of_labels(tmp_path: Path) -> None:
    (tmp_path / "classes").write_text("0\ta\n7\tb\n")
    with pytest.raises(DataError, match=r"classes: numbers that are not 0, 1, 2, .* are for masks"):
        open_split(images=tmp_path, classes=tmp_path / "classes")
