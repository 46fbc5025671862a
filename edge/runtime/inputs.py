"""Arrays handed to an engine are checked before they reach its native code."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError
from edge.runtime.engine import Port


def check_inputs(engine: str, ports: Sequence[Port], inputs: Sequence[npt.NDArray[Any]]) -> None:
    """Refuse (EngineError) arrays whose number, shapes or dtypes are not those of the ports, naming the first one."""
    if len(inputs) != len(ports):
        raise EngineError(f"{engine}: {len(inputs)} input arrays for a model with {len(ports)}")
    for port, array in zip(ports, inputs, strict=True):
        if array.shape != port.shape or array.dtype != np.dtype(port.dtype):
            raise EngineError(
                f"{engine}: input '{port.name}' is {port.dtype} {port.shape}, got {array.dtype.name} {array.shape}"
            )
