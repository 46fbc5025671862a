"""What does not hold of a document is told in one line: where, what, and the value found."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from edge.strict import Strict, first_problem
from tests.support.light import ROOT


class Port(Strict):
    """A part of a document, in a list."""

    name: str
    scale: float | None = None


class Document(Strict):
    """A document as recipes and manifests are: keys, sections, lists."""

    kind: Literal["qat", "ptq"] = "qat"
    size: tuple[int, int] = (1, 1)
    port: Port | None = None
    ports: tuple[Port, ...] = ()
    named: dict[str, Port] | None = None


def problem(text: str, *, toml: bool = False) -> str:
    """What is told of a JSON document that does not hold."""
    with pytest.raises(ValidationError) as caught:
        Document.model_validate_json(text)
    return first_problem(caught.value, Document, toml=toml)


@pytest.mark.parametrize(
    ("text", "json_says", "toml_says"),
    [
        (
            '{"kind": "x"}',
            "kind: Input should be 'qat' or 'ptq', found 'x'",
            "kind = 'x': Input should be 'qat' or 'ptq'",
        ),
        (
            '{"port": {"name": 3}}',
            "port.name: Input should be a valid string, found 3",
            "[port] name = 3: Input should be a valid string",
        ),
        (
            '{"port": {"name": null}}',
            "port.name: Input should be a valid string, found null",
            "[port] name = None: Input should be a valid string",
        ),
        ('{"port": {}}', "port.name: is missing", "[port] 'name' is missing"),
        (
            '{"prt": {}}',
            "unknown key 'prt'; did you mean 'port'?",
            "unknown key 'prt'; did you mean 'port'?",
        ),
        (
            '{"ports": [{"name": "a"}, {"nme": "b"}]}',
            "ports.1: unknown key 'nme'; did you mean 'name'?",
            "[ports] unknown key 'nme'; did you mean 'name'?",
        ),
        (
            '{"named": {"x": {"name": "a", "scal": 1}}}',
            "named.x: unknown key 'scal'; did you mean 'scale'?",
            "[named.x] unknown key 'scal'; did you mean 'scale'?",
        ),
        ('{"size": 3}', "size: give a list: [...], found 3", "size = 3: give a list: [...]"),
        ('{"size": [3]}', "size.1: too few values in this list", "size = [3]: too few values in this list"),
    ],
)
def test_the_line_says_where_what_and_the_value(text: str, json_says: str, toml_says: str) -> None:
    """In both notations, with the nearest key; a misspelt key comes before the one that is missing for it."""
    assert problem(text) == json_says
    assert problem(text, toml=True) == toml_says


def test_a_document_that_is_no_json_is_told_without_its_text() -> None:
    """The value found is the whole document there."""
    assert problem("{" + "x" * 30).startswith("Invalid JSON: ")
    assert "xxx" not in problem("{" + "x" * 30)


def test_a_long_value_is_omitted() -> None:
    """A line stays readable."""
    assert problem(f'{{"kind": "{"x" * 500}"}}') == "kind: Input should be 'qat' or 'ptq'"


@pytest.mark.parametrize("value", ["nan", "inf", True, "1"])
def test_nothing_is_converted_and_numbers_are_finite(value: Any) -> None:
    """A number is a number."""
    with pytest.raises(ValidationError):
        Port(name="a", scale=float(value) if value in ("nan", "inf") else value)


def test_a_dataclass_knows_its_keys_too() -> None:
    """The resume state of a training is one, because it changes."""

    @dataclass
    class State:
        __pydantic_config__ = Strict.model_config
        epoch: int

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(State).validate_json('{"epoch": 1, "epocs": 2}')
    assert first_problem(caught.value, State) == "unknown key 'epocs'; did you mean 'epoch'?"


def test_nobody_else_configures_a_model_or_words_a_problem() -> None:
    """One base and one sentence-maker: what pydantic reports is read in one module."""
    for folder in ("edge", "converters", "device_bench"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            if path != ROOT / "edge/strict.py":
                assert not [word for word in ("ConfigDict(", ".errors(", "(BaseModel)") if word in text], path
