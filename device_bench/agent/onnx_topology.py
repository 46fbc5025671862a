"""Nodes of an ONNX file and the tensors between them, read without the onnx package: a device has none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import EngineError

# Numbers of the fields in onnx.proto3.
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_CONSTANT = 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE = 1, 2, 3, 4
CONSTANT_NAME = 8
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, kw_only=True)
class TopologyNode:
    """One node; inputs without constants and absent ones."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_topology(path: Path) -> list[TopologyNode]:
    """The nodes of an ONNX file's main graph, in the file's order. Weights are skipped, not read.

    Raises:
        EngineError: the bytes are no ONNX file.
    """
    try:
        return _nodes(memoryview(path.read_bytes()))
    except (ValueError, IndexError, OSError) as error:
        raise EngineError(f"onnxruntime: the optimized model that it saved cannot be read: {error}") from error


def _nodes(data: memoryview) -> list[TopologyNode]:
    constants: set[str] = set()
    parts: list[dict[int, list[str]]] = []
    for graph in (value for field, value in _fields(data) if field == MODEL_GRAPH):
        for field, value in _fields(graph):
            if field == GRAPH_NODE:
                parts.append(_texts(value, (NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE)))
            elif field == GRAPH_CONSTANT:
                constants.update(_texts(value, (CONSTANT_NAME,))[CONSTANT_NAME])
    return [
        TopologyNode(
            name="".join(part[NODE_NAME]),
            op_type="".join(part[NODE_TYPE]),
            inputs=tuple(name for name in part[NODE_INPUT] if name and name not in constants),
            outputs=tuple(name for name in part[NODE_OUTPUT] if name),
        )
        for part in parts
    ]


def _texts(data: memoryview, wanted: tuple[int, ...]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {field: [] for field in wanted}
    for field, value in _fields(data):
        if field in found:
            found[field].append(bytes(value).decode("utf-8"))
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of every field of a protobuf message that has a length; the others are skipped."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        if key & 7 == VARINT:
            _, place = _varint(data, place)
            continue
        if key & 7 == BYTES:
            size, place = _varint(data, place)
        elif key & 7 in (FIXED64, FIXED32):
            size = 8 if key & 7 == FIXED64 else 4
        else:
            raise ValueError(f"no ONNX file: wire type {key & 7} at byte {place}")
        if place + size > len(data):
            raise ValueError(f"no ONNX file, or cut short: a field of {size} bytes at byte {place} of {len(data)}")
        if key & 7 == BYTES:
            yield key >> 3, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError(f"no ONNX file: an endless number at byte {place}")
