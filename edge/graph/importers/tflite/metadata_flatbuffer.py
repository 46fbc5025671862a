"""TFLite metadata as plain data, to and from the bytes of a flatbuffer.

A table is a dict from field name to value, absent fields omitted; a union's value is a dict with the one key that names
the member. A member of a union that the schema does not list is omitted by the reader, never guessed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edge.errors import EdgeError
from edge.graph.importers.tflite.metadata_schema import ALIGNMENTS, ENUMERATIONS, TABLES, UNIONS
from edge.graph.importers.tflite.parsing.flatbuffer import Builder, new_builder

MAX_DEPTH = 8
SCALARS: Mapping[str, str] = MappingProxyType(
    {**dict.fromkeys(ENUMERATIONS, "<b"), "ubyte": "<B", "int": "<i", "uint": "<I", "float": "<f"}
)


def encode(table: str, value: Mapping[str, Any], identifier: bytes) -> bytes:
    """Write a value as a flatbuffer with `table` as its root; the same value gives the same bytes.

    Refuses (EdgeError) a field that the table does not have.
    """
    builder = new_builder(1024)
    builder.Finish(_write_table(builder, table, value), identifier)
    return bytes(builder.Output())


def _write_table(builder: Builder, table: str, value: Mapping[str, Any]) -> int:
    fields = TABLES[table]
    if unknown := value.keys() - {name for name, _ in fields}:
        raise EdgeError(f"TFLite metadata: {table} has no field '{sorted(unknown)[0]}'")
    slots: list[tuple[int, str, Any]] = []
    place = 0
    for name, kind in fields:
        if name in value:
            slots += _write_field(builder, place, kind, value[name], ALIGNMENTS.get(f"{table}.{name}", 1))
        place += _places(kind)
    builder.StartObject(place)
    for slot, kind, written in slots:
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(slot, written, 0)
        elif kind == "float":
            builder.PrependFloat32Slot(slot, written, 0.0)
        elif kind == "int":
            builder.PrependInt32Slot(slot, written, 0)
        elif kind == "uint":
            builder.PrependUint32Slot(slot, written, 0)
        else:
            builder.PrependInt8Slot(slot, written, 0)
    return builder.EndObject()


def _places(kind: str) -> int:
    return 2 if kind in UNIONS else 1


def _write_field(builder: Builder, place: int, kind: str, value: Any, alignment: int) -> list[tuple[int, str, Any]]:
    """Write what a field points at; say what goes into its places."""
    if kind in SCALARS:
        return [(place, kind, value)]
    if kind in UNIONS:
        ((member, content),) = value.items()
        number = UNIONS[kind].index(member) + 1
        return [(place, "member", number), (place + 1, "offset", _write_table(builder, member, content))]
    return [(place, "offset", _write_pointed(builder, kind, value, alignment))]


def _write_pointed(builder: Builder, kind: str, value: Any, alignment: int = 1) -> int:
    if kind == "string":
        return builder.CreateString(value)
    if kind == "[ubyte]":
        builder.StartVector(1, len(value), alignment)
        builder.head -= len(value)
        builder.Bytes[builder.head : builder.head + len(value)] = value
        return builder.EndVector()
    if not kind.startswith("["):
        return _write_table(builder, kind, value)
    prepend = {"[float]": builder.PrependFloat32, "[uint]": builder.PrependUint32}.get(kind)
    items = value if prepend else [_write_pointed(builder, kind[1:-1], item) for item in value]
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        (prepend or builder.PrependUOffsetTRelative)(item)
    return builder.EndVector()


def decode(table: str, data: bytes, identifier: bytes) -> dict[str, Any]:
    """Read a flatbuffer with `table` as its root, with distrust: every element is paid for out of the data's size.

    Raises:
        ValueError, struct.error: another identifier, or damaged.
    """
    if len(data) < 12 or data[4:8] != identifier:
        raise ValueError(f"no {identifier.decode()} identifier at byte 4")
    return _Reader(data).table(table, _Reader(data).follow(0), 0)


@dataclass(kw_only=True)
class _Budget:
    left: int


class _Reader:
    """Reads one buffer; an offset outside of it raises."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._budget = _Budget(left=4 * len(data))

    def _number(self, form: str, position: int) -> int | float:
        if position < 0:
            raise ValueError("an offset points before the metadata")
        number: int | float = struct.unpack_from(form, self._data, position)[0]
        return number

    def follow(self, position: int) -> int:
        """Where the offset at a position points."""
        return position + int(self._number("<I", position))

    def table(self, table: str, position: int, depth: int) -> dict[str, Any]:
        """The fields of a table that are there."""
        self._budget.left -= 1 + len(TABLES[table])
        if self._budget.left < 0 or depth > MAX_DEPTH:
            raise ValueError("tables claim more than the metadata can hold")
        places = position - int(self._number("<i", position))
        length = int(self._number("<H", places))
        value: dict[str, Any] = {}
        place = 0
        for name, kind in TABLES[table]:
            found = self._field(places, length, place + _places(kind) - 1)
            if found:
                read = self._value(kind, position + found, depth, self._member(kind, places, length, place, position))
                if read is not None:
                    value[name] = read
            place += _places(kind)
        return value

    def _field(self, places: int, length: int, place: int) -> int:
        entry = 4 + 2 * place
        return int(self._number("<H", places + entry)) if entry + 2 <= length else 0

    def _member(self, kind: str, places: int, length: int, place: int, position: int) -> str | None:
        """The union's member, None where the field is no union or the member is not known."""
        if kind not in UNIONS or not (found := self._field(places, length, place)):
            return None
        number = int(self._number("<B", position + found))
        members: Sequence[str] = UNIONS[kind]
        return members[number - 1] if 1 <= number <= len(members) else None

    def _value(self, kind: str, position: int, depth: int, member: str | None) -> Any:
        if kind in SCALARS:
            return self._number(SCALARS[kind], position)
        if kind in UNIONS:
            return None if member is None else {member: self.table(member, self.follow(position), depth + 1)}
        return self._pointed(kind, self.follow(position), depth)

    def _pointed(self, kind: str, position: int, depth: int) -> Any:
        if not (kind.startswith("[") or kind == "string"):
            return self.table(kind, position, depth + 1)
        count = int(self._number("<I", position))
        self._budget.left -= count
        if self._budget.left < 0 or position + 4 + count > len(self._data):
            raise ValueError("a vector claims more than the metadata can hold")
        first = position + 4
        if kind == "string":
            return self._data[first : first + count].decode("utf-8", errors="replace")
        if kind == "[ubyte]":
            return self._data[first : first + count]
        if kind[1:-1] in SCALARS:
            return [self._number(SCALARS[kind[1:-1]], first + 4 * index) for index in range(count)]
        return [self._pointed(kind[1:-1], self.follow(first + 4 * index), depth) for index in range(count)]
