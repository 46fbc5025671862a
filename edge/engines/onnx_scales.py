"""The scales of an ONNX file's integer inputs and outputs: ONNX states none, so our writer notes them in the file."""

import json
import math
from dataclasses import replace
from typing import Any

from edge.errors import EngineError
from edge.port import Port

KEY = "edge.quantization"  # of the file's own metadata; a JSON object from tensor name to [scale, zero point]
MAX_NOTE = 1 << 16


def with_scales(ports: tuple[Port, ...], session: Any) -> tuple[Port, ...]:
    """The ports with what the file notes about them; a file without the note leaves them as they are.

    Raises:
        EngineError: a note that is none.
    """
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        return ports
    try:
        note: dict[str, Any] = json.loads(text[:MAX_NOTE])
        found = {port.name: _parameters(note[port.name]) for port in ports if port.name in note}
    except (ValueError, TypeError, RecursionError) as error:
        raise EngineError(f"onnxruntime: the file's note '{KEY}' is damaged") from error
    return tuple(
        replace(port, scale=found[port.name][0], zero_point=found[port.name][1]) if port.name in found else port
        for port in ports
    )


def _parameters(entry: Any) -> tuple[float, int]:
    scale, zero_point = entry
    if type(zero_point) is not int or type(scale) is not float or not 0 < scale < math.inf:
        raise ValueError("no scale and zero point")
    return scale, zero_point
