"""Messages between processes: what was sent arrives, and nothing else is believed."""

import io
from typing import Any

import numpy as np
import pytest

from edge.engines.framing import (
    MAGIC,
    MAX_PAYLOAD_BYTES,
    PREFIX,
    Ended,
    pack_arrays,
    read_message,
    unpack_arrays,
    write_message,
)
from edge.errors import EngineError


def sent(header: dict[str, Any], payload: bytes = b"") -> bytes:
    sink = io.BytesIO()
    write_message(sink, header, payload)
    return sink.getvalue()


def test_messages_arrive_one_after_another_and_then_end() -> None:
    source = io.BytesIO(sent({"do": "run", "n": 1}, b"\x00\xff") + sent({}))
    assert read_message(source) == ({"do": "run", "n": 1}, b"\x00\xff")
    assert read_message(source) == ({}, b"")
    with pytest.raises(Ended):
        read_message(source)


@pytest.mark.parametrize("kept", range(1, len(sent({"a": 1}, b"12345"))))
def test_a_message_that_is_cut_off_anywhere_is_refused(kept: int) -> None:
    with pytest.raises(EngineError, match=r"cut off|a message of \d+ bytes") as refused:
        read_message(io.BytesIO(sent({"a": 1}, b"12345")[:kept]))
    assert not isinstance(refused.value, Ended)


@pytest.mark.parametrize("place", range(len(sent({"a": 1}, b"12345"))))
def test_a_message_with_one_changed_byte_is_refused(place: int) -> None:
    data = bytearray(sent({"a": 1}, b"12345"))
    data[place] ^= 1
    with pytest.raises(EngineError):
        read_message(io.BytesIO(bytes(data)))


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    source = io.BytesIO(PREFIX.pack(MAGIC, 2, MAX_PAYLOAD_BYTES + 1, bytes(32)) + b"{}")
    with pytest.raises(EngineError, match="are allowed"):
        read_message(source)
    assert source.tell() == PREFIX.size


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float32", "bool"])
def test_arrays_keep_type_shape_and_values(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (2, 3, 4)).astype(dtype)
    arrays = [values.transpose(2, 0, 1), np.zeros((0, 3), dtype), np.array(1, dtype)]
    found = unpack_arrays(*pack_arrays(arrays))
    assert [array.dtype.name for array in found] == [dtype] * 3
    assert all(np.array_equal(a, b) and a.shape == b.shape for a, b in zip(arrays, found, strict=True))
    found[0][...] = 0  # the caller's own


@pytest.mark.parametrize(
    ("described", "payload", "told"),
    [
        ([{"dtype": "int8", "shape": [5]}], b"1234", "4 bytes left"),
        ([{"dtype": "int8", "shape": [3]}], b"1234", "1 bytes behind"),
        ([{"dtype": "object", "shape": [1]}], b"12345678", "described as"),
        ([{"dtype": "int8", "shape": [-1]}], b"1", "shape"),
        ([{"dtype": "int8", "shape": [1 << 40, 1 << 40]}], b"", "shape"),
        ([{"dtype": "int8", "shape": [True]}], b"1", "shape"),
        ([{"dtype": "int8", "shape": [1] * 9}], b"1", "shape"),
        ([{"dtype": "int8"}], b"1", "described as"),
        (None, b"", "without a list"),
    ],
)
def test_arrays_that_do_not_fit_their_message_are_refused(described: Any, payload: bytes, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        unpack_arrays(described, payload)
