"""What an engine is handed and what it loaded is checked: arrays before its native code, ports before a number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError
from edge.port import Port


def check_inputs(engine: str, ports: Sequence[Port], inputs: Sequence[npt.NDArray[Any]]) -> None:
    """Refuse (EngineError) arrays whose number, shapes or dtypes are not those of the ports, naming the first one."""
    if len(inputs) != len(ports):
        raise EngineError(f"{engine}: {len(inputs)} input arrays for a model with {len(ports)}")
    for port, array in zip(ports, inputs, strict=True):
        if array.shape != port.shape or array.dtype != np.dtype(port.dtype):
            raise EngineError(
                f"{engine}: input '{port.name}' is {port.dtype} {port.shape}, got {array.dtype.name} {array.shape}"
            )


def without_batch(port: Port, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of one sample as a port without a batch axis takes it; any other array as it is."""
    return array.reshape(port.shape) if array.shape == (1, *port.shape) else array


def port_difference(kind: str, told: Sequence[Port], found: Sequence[Port], *, scales_told: bool) -> str | None:
    """How the inputs or outputs of a loaded file differ from what a manifest says; None where they agree.

    Args:
        kind: `inputs` or `outputs`, for the message.
        scales_told: the reader of the file says every scale; ONNX Runtime says those that are noted in the file.

    A file may lack the batch axis of 1 that the manifest tells; `EngineSession.give_batch` adds it.
    """
    if len(told) != len(found):
        return f"{len(told)} {kind} in the manifest, {len(found)} in the file"
    for one, other in zip(told, found, strict=True):
        if one.shape not in (other.shape, (1, *other.shape)) or one.dtype != other.dtype:
            return f"'{one.name}' is {one.dtype} {one.shape} in the manifest, {other.dtype} {other.shape} in the file"
        if other.scale is None and not scales_told:
            continue
        if _scale(one) != _scale(other):
            return f"'{one.name}' has the scale {one.scale} in the manifest, {other.scale} in the file"
        if one.zero_point != other.zero_point:
            return f"'{one.name}' has the zero point {one.zero_point} in the manifest, {other.zero_point} in the file"
    return None


def _scale(port: Port) -> np.float32 | None:
    """As files hold it: in float32."""
    return None if port.scale is None else np.float32(port.scale)
