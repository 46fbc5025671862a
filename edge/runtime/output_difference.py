"""How far two outputs of one model file are apart, and how far they may be."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.runtime.engine import EngineInfo

ANY_KERNELS = "*"


def kernel_key(info: EngineInfo) -> str:
    """The kernel set of a session as the manifest names it: `litert/xnnpack/x86_64`."""
    return f"{info.engine}/{info.kernels}/{info.machine}"


def allowed_difference(bounds: Mapping[str, float], kernels: str) -> float:
    """The largest difference that a manifest allows for a kernel set; 0 where it names neither it nor ANY_KERNELS."""
    return bounds.get(kernels, bounds.get(ANY_KERNELS, 0.0))


def output_difference(expected: npt.NDArray[Any], found: npt.NDArray[Any], *, class_map: bool) -> float:
    """How far two outputs are apart: quanta for integers, share of cells for class maps, absolute for floats."""
    if expected.shape != found.shape:
        return float("inf")
    if class_map:
        return float(np.mean(expected != found))
    if np.issubdtype(expected.dtype, np.floating):
        apart = np.abs(expected.astype(np.float64) - found.astype(np.float64))
        return float("inf") if np.isnan(apart).any() else float(apart.max(initial=0.0))
    return float(np.abs(expected.astype(np.int64) - found.astype(np.int64)).max(initial=0))
