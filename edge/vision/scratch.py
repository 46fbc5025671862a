"""Arrays that are used again from frame to frame, each thread its own: a new one of some size costs its pages."""

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt


class Scratch(threading.local):
    """One buffer for each name and thread, which grows to the largest array that was asked for under the name."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[np.uint8]] = {}
        self._shown: dict[str, npt.NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array in the thread's buffer of this name; what lies in it is left over from an earlier use."""
        shown = self._shown.get(name)
        if shown is not None and shown.shape == shape and shown.dtype == dtype:
            return shown
        kind = np.dtype(dtype)
        size_bytes = math.prod(shape) * kind.itemsize
        held = self._held.get(name)
        if held is None or held.size < size_bytes:
            held = self._held[name] = np.empty(size_bytes, np.uint8)
        shown = self._shown[name] = np.ndarray(shape, kind, held)
        return shown

    def __reduce__(self) -> tuple[type["Scratch"], tuple[()]]:
        """A copy in another process holds nothing yet."""
        return Scratch, ()
