"""What plain data from outside is read as, and what is wrong with it in one line.

Recipe, card, split file, manifest, record and a device's answers are models of `Strict`; where one does not hold,
`first_problem` makes the sentence.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.errors import unknown_name

LONGEST_FOUND = 100
_UNION_MEMBERS = ("literal", "str")  # pydantic's names in a location, not keys of ours
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass
_TELLS_ITSELF = ("value_error", "json_invalid")  # the message names what was found


class Strict(BaseModel):
    """Frozen; no unknown key, no conversion between types, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def first_problem(error: ValidationError, model: type[Any], *, toml: bool = False) -> str:
    """The first thing wrong with a document, in one line: where, what, and the value found.

    A misspelt key comes before what else is wrong, because it explains a missing one, and is told with the nearest key.

    Args:
        model: what the document was read as: a pydantic model or a dataclass.
        toml: `[train] epochs = -1: ...`, as a person wrote it, instead of `train.epochs: ..., found -1`.
    """
    problems = error.errors(include_url=False)
    first = next((problem for problem in problems if problem["type"] in _UNKNOWN), problems[0])
    kind, location, value = first["type"], first["loc"], first["input"]
    path = [part for part in location[:-1] if not _is_union_member(part)]
    if kind in _UNKNOWN:
        return _place(path, toml) + unknown_name("key", str(location[-1]), _known_keys(model, path))
    if kind == "missing" and isinstance(location[-1], str):
        return f"{_place(path, toml)}'{location[-1]}' is missing" if toml else f"{_place(location, toml)}is missing"
    path.extend(part for part in location[-1:] if not _is_union_member(part))
    message = _words(kind, first["msg"], first.get("ctx", {}))
    if not toml:
        found = "" if kind in _TELLS_ITSELF or isinstance(value, dict | list | tuple) else f", found {_shown(value)}"
        return _place(path, toml) + message + (found if len(found) <= LONGEST_FOUND else "")
    names = [part for part in path if isinstance(part, str)]
    if isinstance(value, dict) or not names:
        return _place(names, toml) + message
    return f"{_place(names[:-1], toml)}{names[-1]} = {value!r}: {message}"


def _shown(value: Any) -> str:
    """A value as its file has it: null, true, Infinity."""
    return repr(value) if isinstance(value, str) else json.dumps(value, default=repr)


def _is_union_member(part: int | str) -> bool:
    return isinstance(part, str) and (part in _UNION_MEMBERS or "[" in part)


def _place(path: Sequence[int | str], toml: bool) -> str:
    """What opens the line: `[train] ` or `train: `; nothing for the whole document."""
    text = ".".join(str(part) for part in path if not toml or isinstance(part, str))
    return text and (f"[{text}] " if toml else f"{text}: ")


def _words(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    """What pydantic found wrong with one value, in the words of a TOML or JSON file: those have lists, not tuples."""
    words = {
        "missing": "too few values in this list",  # of a value, not of a key: the list ends too early
        "tuple_type": "give a list: [...]",
        "too_short": f"at least {limits.get('min_length')} in this list",
        "too_long": f"at most {limits.get('max_length')} in this list",
    }
    return words.get(kind) or message.removeprefix("Value error, ")


def _known_keys(model: type[Any], path: Sequence[int | str]) -> list[str]:
    """The keys that may stand at a path of keys and places in lists."""
    for part in path:
        if isinstance(part, str) and part in (fields := _fields(model)):
            model = next(_models(fields[part]), model)
    return list(_fields(model))


def _fields(model: type[Any]) -> dict[str, Any]:
    """A model's keys with their types."""
    if dataclasses.is_dataclass(model):
        return {field.name: field.type for field in dataclasses.fields(model)}
    return {name: field.annotation for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type: of an optional one, of a tuple's or a table's entries."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
