"""A beginning of a TFLite file, made from the file itself: no second copy of its weights travels to a device."""

import struct
from collections.abc import Mapping
from typing import Any

from edge.errors import EngineError

WORD = struct.Struct("<I")


def beginning(data: bytes, cuts: Mapping[str, Any], count: int) -> bytes:
    """The file with its first operators only.

    Args:
        data: the whole file.
        cuts: `operators_at`, `outputs_at`, `emptied_at` and `outputs` of an `edge.graph.tflite_prefix.TflitePrefixes`.
        count: of operators, from 1.

    Raises:
        EngineError: an offset outside the file.
    """
    outputs = cuts["outputs"][count - 1]
    made = bytearray(data)
    made += bytes(-len(made) % WORD.size)
    appended_at = len(made)
    for number in (len(outputs), *outputs):
        made += WORD.pack(number)
    words = [(cuts["operators_at"], count), *((at, 0) for at in cuts["emptied_at"])]
    for at, number in (*words, (cuts["outputs_at"], appended_at - cuts["outputs_at"])):
        if not 0 <= at <= len(data) - WORD.size:
            raise EngineError(f"a cut at byte {at} of a file of {len(data)} bytes")
        WORD.pack_into(made, at, number)
    return bytes(made)
