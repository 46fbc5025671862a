"""Messages between this process and the agent in another Python: a fixed prefix, a JSON header, raw bytes.

prefix, 48 bytes: b"EDGE", header length (uint32), payload length (uint64), SHA-256 of header and payload; big-endian.
Every size is checked before it is read, every hash before the content is believed; nothing is unpickled.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError

MAGIC = b"EDGE"
PREFIX = struct.Struct(">4sIQ32s")
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 30
DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
MAX_RANK = 8
MAX_JSON_DEPTH = 32
MAX_INTEGER = 2**63 - 1


class Ended(EngineError):
    """The other side closed its end before a message began."""


class CutOff(EngineError):
    """The other side closed its end within a message."""


def write_message(sink: BinaryIO, header: Mapping[str, Any], payload: bytes = b"") -> None:
    """Send one message. The header is JSON-ready."""
    head = json.dumps(header).encode()
    digest = hashlib.sha256(head)
    digest.update(payload)
    sink.write(PREFIX.pack(MAGIC, len(head), len(payload), digest.digest()) + head)
    sink.write(payload)
    sink.flush()


def read_message(source: BinaryIO, most_bytes: int = MAX_PAYLOAD_BYTES) -> tuple[dict[str, Any], bytes]:
    """Receive one message: its header and payload.

    Args:
        most_bytes: a message that says it has a longer payload is refused before any of it is read.

    Raises:
        Ended: there is none. EngineError: it is cut off, too long, changed on the way, or no message at all.
    """
    prefix = source.read(PREFIX.size)
    if not prefix:
        raise Ended("it ended without an answer")
    if len(prefix) < PREFIX.size:
        raise CutOff(f"a message of {len(prefix)} bytes; the shortest has {PREFIX.size}")
    magic, header_bytes, payload_bytes, expected = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise EngineError(f"a message starts with {magic!r}, not {MAGIC!r}")
    if header_bytes > MAX_HEADER_BYTES or payload_bytes > most_bytes:
        raise EngineError(f"a message of {header_bytes} + {payload_bytes} bytes; {most_bytes} are allowed")
    head, payload = _read(source, header_bytes), _read(source, payload_bytes)
    digest = hashlib.sha256(head)
    digest.update(payload)
    if digest.digest() != expected:
        raise EngineError("a message whose SHA-256 does not match its content")
    return read_object(head, "a message's header"), payload


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object that another process sent, as plain values whose size is bounded by that of the bytes.

    Raises:
        EngineError: no JSON, no UTF-8, no object; nested deeper than MAX_JSON_DEPTH, or an integer beyond 64 bits. The
            message opens with `what`.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise EngineError(f"{what} is not JSON: {reason}") from error
    if not isinstance(found, dict):
        raise EngineError(f"{what} is not an object but {type(found).__name__}")
    level: list[Any] = [found]
    for _ in range(MAX_JSON_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, int) and abs(value) > MAX_INTEGER:
                raise EngineError(f"{what} holds an integer of more than 64 bits")
        level = [value for value in below if isinstance(value, (dict, list, int))]
        if not level:
            return found
    raise EngineError(f"{what} is nested deeper than {MAX_JSON_DEPTH} levels")


def _read(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise CutOff(f"a message was cut off: {len(data)} of {size} bytes")
    return data


def pack_arrays(arrays: Sequence[npt.NDArray[Any]]) -> tuple[list[dict[str, Any]], bytes]:
    """Arrays as JSON-ready descriptions (`dtype`, `shape`) and their bytes one after another, little-endian C order."""
    described = [{"dtype": array.dtype.name, "shape": list(array.shape)} for array in arrays]
    ordered = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in arrays]
    return described, b"".join(array.tobytes() for array in ordered)


def unpack_arrays(described: Any, payload: bytes) -> list[npt.NDArray[Any]]:
    """The arrays of a message; writable, the caller's own.

    Raises:
        EngineError: an unknown dtype, an impossible shape, or sizes that do not add up to the payload.
    """
    if not isinstance(described, list):
        raise EngineError("a message without a list of arrays")
    arrays, position = [], 0
    for entry in described:
        dtype, shape = _described(entry)
        count = 1
        for size in shape:
            count *= size
        size_bytes = count * dtype.itemsize
        if position + size_bytes > len(payload):
            raise EngineError(f"an array of {dtype} {shape} in a message with {len(payload) - position} bytes left")
        values = np.frombuffer(payload, dtype, count, position).reshape(shape)
        arrays.append(values.astype(dtype.newbyteorder("="), copy=True))
        position += size_bytes
    if position != len(payload):
        raise EngineError(f"{len(payload) - position} bytes behind the last array of a message")
    return arrays


def _described(entry: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not isinstance(entry, dict) or entry.get("dtype") not in DTYPES or not isinstance(entry.get("shape"), list):
        raise EngineError(f"an array described as {str(entry)[:80]}")
    shape = entry["shape"]
    if len(shape) > MAX_RANK or any(type(size) is not int or not 0 <= size <= MAX_PAYLOAD_BYTES for size in shape):
        raise EngineError(f"an array of shape {str(shape)[:80]}")
    return np.dtype(entry["dtype"]).newbyteorder("<"), tuple(shape)
