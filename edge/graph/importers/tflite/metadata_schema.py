"""The published schema of TFLite metadata (version 1.5.0, file identifier M001) as a table, and its two directions.

Values are plain data: a table is a dict from field name to value, absent fields omitted, a union's value is a dict
with the one key that names the member. Only the tables that a vision model uses are here; a member of a union that
is not listed is omitted by the reader, never guessed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edge.errors import EdgeError

MODEL_IDENTIFIER = b"M001"
SEGMENTER_IDENTIFIER = b"V001"
MAX_DEPTH = 8

# table -> its fields in the schema's order, (name, type). A union takes two places: its type and its value.
TABLES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "ModelMetadata": (
            ("name", "string"),
            ("description", "string"),
            ("version", "string"),
            ("subgraph_metadata", "[SubGraphMetadata]"),
            ("author", "string"),
            ("license", "string"),
            ("associated_files", "[AssociatedFile]"),
            ("min_parser_version", "string"),
        ),
        "SubGraphMetadata": (
            ("name", "string"),
            ("description", "string"),
            ("input_tensor_metadata", "[TensorMetadata]"),
            ("output_tensor_metadata", "[TensorMetadata]"),
            ("associated_files", "[AssociatedFile]"),
            ("input_process_units", "[ProcessUnit]"),
            ("output_process_units", "[ProcessUnit]"),
            ("input_tensor_groups", "[TensorGroup]"),
            ("output_tensor_groups", "[TensorGroup]"),
            ("custom_metadata", "[CustomMetadata]"),
        ),
        "TensorMetadata": (
            ("name", "string"),
            ("description", "string"),
            ("dimension_names", "[string]"),
            ("content", "Content"),
            ("process_units", "[ProcessUnit]"),
            ("stats", "Stats"),
            ("associated_files", "[AssociatedFile]"),
        ),
        "Content": (("content_properties", "<ContentProperties>"), ("range", "ValueRange")),
        "ImageProperties": (("color_space", "byte"), ("default_size", "ImageSize")),
        "ImageSize": (("width", "uint"), ("height", "uint")),
        "FeatureProperties": (),
        "ValueRange": (("min", "int"), ("max", "int")),
        "ProcessUnit": (("options", "<ProcessUnitOptions>"),),
        "NormalizationOptions": (("mean", "[float]"), ("std", "[float]")),
        "ScoreCalibrationOptions": (("score_transformation", "byte"), ("default_score", "float")),
        "ScoreThresholdingOptions": (("global_score_threshold", "float"),),
        "Stats": (("max", "[float]"), ("min", "[float]")),
        "AssociatedFile": (
            ("name", "string"),
            ("description", "string"),
            ("type", "byte"),
            ("locale", "string"),
            ("version", "string"),
        ),
        "TensorGroup": (("name", "string"), ("tensor_names", "[string]")),
        "CustomMetadata": (("name", "string"), ("data", "[byte]")),
        "ImageSegmenterOptions": (("activation", "byte"), ("min_parser_version", "string")),
    }
)

# union -> its members; the number in the file is the place here + 1.
UNIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ContentProperties": ("FeatureProperties", "ImageProperties"),
        "ProcessUnitOptions": ("NormalizationOptions", "ScoreCalibrationOptions", "ScoreThresholdingOptions"),
    }
)
SCALARS: Mapping[str, str] = MappingProxyType({"byte": "<b", "int": "<i", "uint": "<I", "float": "<f"})


def encode(table: str, value: Mapping[str, Any], identifier: bytes) -> bytes:
    """Write a value as a flatbuffer with `table` as its root; the same value gives the same bytes.

    Refuses (EdgeError) a field that the table does not have.
    """
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, table, value), identifier)
    return bytes(builder.Output())


def _write_table(builder: Any, table: str, value: Mapping[str, Any]) -> int:
    fields = TABLES[table]
    if unknown := value.keys() - {name for name, _ in fields}:
        raise EdgeError(f"TFLite metadata: {table} has no field '{sorted(unknown)[0]}'")
    slots: list[tuple[int, str, int | float]] = []
    place = 0
    for name, kind in fields:
        if name in value:
            slots += _write_field(builder, place, kind, value[name])
        place += 2 if kind.startswith("<") else 1
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
    return int(builder.EndObject())


def _write_field(builder: Any, place: int, kind: str, value: Any) -> list[tuple[int, str, int | float]]:
    """Write what a field points at; say what goes into its places."""
    if kind in SCALARS:
        return [(place, kind, value)]
    if kind.startswith("<"):
        ((member, content),) = value.items()
        number = UNIONS[kind[1:-1]].index(member) + 1
        return [(place, "byte", number), (place + 1, "offset", _write_table(builder, member, content))]
    return [(place, "offset", _write_pointed(builder, kind, value))]


def _write_pointed(builder: Any, kind: str, value: Any) -> int:
    if kind == "string":
        return int(builder.CreateString(value))
    if kind == "[byte]":
        builder.StartVector(1, len(value), 16)  # the schema forces an alignment of 16 on embedded flatbuffers
        builder.head -= len(value)
        builder.Bytes[builder.head : builder.head + len(value)] = value
        return int(builder.EndVector())
    if kind == "[float]":
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            builder.PrependFloat32(number)
        return int(builder.EndVector())
    if kind.startswith("["):
        offsets = [_write_pointed(builder, kind[1:-1], item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())
    return _write_table(builder, kind, value)


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
            found = self._field(places, length, place + (1 if kind.startswith("<") else 0))
            if found:
                read = self._value(kind, position + found, depth, self._member(kind, places, length, place, position))
                if read is not None:
                    value[name] = read
            place += 2 if kind.startswith("<") else 1
        return value

    def _field(self, places: int, length: int, place: int) -> int:
        entry = 4 + 2 * place
        return int(self._number("<H", places + entry)) if entry + 2 <= length else 0

    def _member(self, kind: str, places: int, length: int, place: int, position: int) -> str | None:
        """The union's member, None where the field is no union or the member is not known."""
        if not kind.startswith("<") or not (found := self._field(places, length, place)):
            return None
        number = int(self._number("<B", position + found))
        members: Sequence[str] = UNIONS[kind[1:-1]]
        return members[number - 1] if 1 <= number <= len(members) else None

    def _value(self, kind: str, position: int, depth: int, member: str | None) -> Any:
        if kind in SCALARS:
            return self._number(SCALARS[kind], position)
        if kind.startswith("<"):
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
        if kind == "[byte]":
            return self._data[first : first + count]
        if kind == "[float]":
            return [self._number("<f", first + 4 * index) for index in range(count)]
        return [self._pointed(kind[1:-1], self.follow(first + 4 * index), depth) for index in range(count)]
