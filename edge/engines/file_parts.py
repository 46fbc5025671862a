"""A part of a TFLite file, made from the whole file where it lies: no second copy of its weights travels there."""

import struct
from collections.abc import Sequence
from typing import Any

from edge.errors import EngineError

WORD = struct.Struct("<I")


def part_of(data: bytes, words: Sequence[Sequence[int]], lists: Sequence[Sequence[Any]]) -> bytes:
    """Overwrite words, append lists and lead to them.

    Args:
        data: the whole file.
        words, lists: of an `edge.graph.importers.tflite.parts.TflitePart`.

    Raises:
        EngineError: an offset outside the file.
    """
    made = bytearray(data)
    made += bytes(-len(made) % WORD.size)
    changed = [(int(at), int(number)) for at, number in words]
    for at, numbers in lists:
        changed.append((int(at), len(made) - int(at)))
        for number in (len(numbers), *numbers):
            made += WORD.pack(number)
    for at, number in changed:
        if not 0 <= at <= len(data) - WORD.size:
            raise EngineError(f"a cut at byte {at} of a file of {len(data)} bytes")
        WORD.pack_into(made, at, number)
    return bytes(made)
