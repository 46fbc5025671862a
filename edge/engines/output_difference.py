"""How far two outputs of one model file are apart, and how far they may be."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.engine import EngineInfo
from edge.vision.four_outputs import FOUR_OUTPUTS, FourOutputs, share_apart

ANY_KERNELS = "*"
# What a float file may differ from the same network computed otherwise in float32: values as a share of the largest
# expected magnitude, class maps as a share of the cells.
FLOAT_TOLERANCE = 1e-3
CLASS_MAP_TOLERANCE = 0.01
# What a float model may differ when it is computed in fewer bits than its file's float32: logits as a share of the
# largest answer, class maps as a share of the cells. TF32 has float16's fraction.
REDUCED: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"float16": (0.05, 0.02), "tf32": (0.05, 0.02), "bfloat16": (0.2, 0.05)}
)


def kernel_key(info: EngineInfo) -> str:
    """The kernel set of a session as the manifest names it: `litert/xnnpack/x86_64`."""
    return f"{info.engine}/{info.kernels}/{info.machine}"


def allowed_difference(bounds: Mapping[str, float], kernels: str) -> float:
    """The largest difference that a manifest allows for a kernel set; 0 where it names neither it nor ANY_KERNELS."""
    return bounds.get(kernels, bounds.get(ANY_KERNELS, 0.0))


def reduced_precision(info: EngineInfo) -> str | None:
    """Key of REDUCED that a session computes in; None for full float32, and where the file alone decides.

    A GPU that may use TF32 says so in its provider's options (`cudnn.allow_tf32`, `use_tf32`).
    """
    if info.precision in REDUCED:
        return info.precision
    tf32 = any(name.endswith("tf32") and value in ("1", "True") for name, value in info.provider_options.items())
    return "tf32" if tf32 and info.device is not None else None


def difference_allowed_here(
    bounds: Mapping[str, float], info: EngineInfo, expected: Sequence[npt.NDArray[Any]], class_maps: Sequence[bool]
) -> float:
    """The largest difference that a session may show: the manifest's, or what its reduced precision explains.

    Args:
        expected: the expected outputs, every one with all its samples.

    A bound that the manifest names for these very kernels holds, whatever their precision.
    """
    kernels, precision = kernel_key(info), reduced_precision(info)
    allowed = allowed_difference(bounds, kernels)
    if precision is None or kernels in bounds:
        return allowed
    share_of_largest, share_of_cells = REDUCED[precision]
    explained = [
        share_of_cells if is_map else share_of_largest * largest_magnitude(array)
        for array, is_map in zip(expected, class_maps, strict=True)
        if is_map or np.issubdtype(array.dtype, np.floating)
    ]
    return max([allowed, *explained])


def values_apart(expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """How far two arrays of one shape are apart, value by value: the one comparison of floats in this product.

    Two NaNs are equal, and so are two infinities of one sign; any other pair with a NaN or an infinity in it is
    infinitely far apart.
    """
    first, second = expected.astype(np.float64), found.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(first - second)
    apart[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    apart[np.isnan(apart)] = np.inf
    return apart


def largest_magnitude(values: npt.NDArray[Any]) -> float:
    """The largest finite magnitude, which tolerances are shares of; 0 where there is none."""
    magnitudes = np.abs(values.astype(np.float64))
    return float(magnitudes[np.isfinite(magnitudes)].max(initial=0.0))


def output_difference(expected: npt.NDArray[Any], found: npt.NDArray[Any], *, class_map: bool) -> float:
    """How far two outputs are apart: quanta for integers, share of cells for class maps, absolute for floats."""
    if expected.shape != found.shape:
        return float("inf")
    if class_map:
        return float(np.mean(expected != found)) if expected.size else 0.0
    if np.issubdtype(expected.dtype, np.floating):
        return float(values_apart(expected, found).max(initial=0.0))
    return float(np.abs(expected.astype(np.int64) - found.astype(np.int64)).max(initial=0))


def outputs_difference(
    expected: Sequence[npt.NDArray[Any]], found: Sequence[npt.NDArray[Any]], meanings: Sequence[str]
) -> float:
    """How far the told outputs of one image are apart: the largest of `output_difference`, or of boxes a share.

    Args:
        meanings: of the outputs. Boxes, classes, scores and count are one answer: see `share_apart`.
    """
    if tuple(meanings) == FOUR_OUTPUTS:
        return share_apart(*(FourOutputs.of(each) for each in (expected, found)))
    return max(
        output_difference(wanted, output, class_map=meaning == "class_map")
        for wanted, output, meaning in zip(expected, found, meanings, strict=True)
    )


def is_share(meaning: str, meanings: Sequence[str]) -> bool:
    """Whether a difference of an output is a share: of a class map's cells, or of what was found."""
    return meaning == "class_map" or tuple(meanings) == FOUR_OUTPUTS


def largest_sensible(expected: npt.NDArray[Any], *, class_map: bool) -> float:
    """The largest difference that may be allowed: half of all cells, of the type's range, or of the largest value.

    By one that is larger, a model that answers nothing would pass.
    """
    if class_map:
        return 0.5
    if np.issubdtype(expected.dtype, np.integer):
        limits = np.iinfo(expected.dtype)
        return (int(limits.max) - int(limits.min) + 1) / 2
    return 0.5 * max(float(np.abs(expected).max(initial=0.0)), 1e-6)
