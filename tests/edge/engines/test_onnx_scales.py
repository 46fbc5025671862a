"""ONNX has no place for the scales of integer inputs and outputs: our files note them, and are held to the note."""

from dataclasses import dataclass
from typing import Any

import pytest

from edge.engines.onnx_scales import KEY, with_scales
from edge.errors import EngineError
from edge.port import Port

PORT = Port(name="y", shape=(1, 3), dtype="uint8")


@dataclass
class Meta:
    custom_metadata_map: dict[str, str]


@dataclass
class FakeSession:
    note: str | None

    def get_modelmeta(self) -> Any:
        return Meta({} if self.note is None else {KEY: self.note})


def test_noted_scales_are_those_of_the_port() -> None:
    (found,) = with_scales((PORT,), FakeSession('{"y": [0.00390625, 128], "x": [1.0, 0]}'))
    assert (found.scale, found.zero_point) == (0.00390625, 128)


@pytest.mark.parametrize("note", [None, "{}", '{"x": [1.0, 0]}'])
def test_a_file_without_a_note_says_nothing(note: str | None) -> None:
    assert with_scales((PORT,), FakeSession(note)) == (PORT,)


@pytest.mark.parametrize(
    "note",
    ["", "5", "[" * 20000, '{"y": 1}', '{"y": [0, 1]}', '{"y": [NaN, 1]}', '{"y": [-1.0, 1]}', '{"y": [1.0, "a"]}'],
)
def test_a_damaged_note_is_one_line(note: str) -> None:
    with pytest.raises(EngineError, match="is damaged") as caught:
        with_scales((PORT,), FakeSession(note))
    assert "\n" not in str(caught.value)
