"""Where a bilinear resize looks and with which weights, as XNNPACK's 8-bit kernel computes it (s8-ibilinear)."""

import numpy as np
import numpy.typing as npt

WEIGHT_BITS = 11
F32 = np.float32


def source_positions(size_in: int, size_out: int, coordinates: str) -> npt.NDArray[np.float32]:
    """Where each output cell looks in the input, float32 (size_out,), clamped to [0, size_in - 1].

    Args:
        coordinates: half_pixel, asymmetric or align_corners.
    """
    index = np.arange(size_out, dtype=F32)
    less = 1 if coordinates == "align_corners" and size_out != 1 else 0
    scale = F32(size_in - less) / F32(size_out - less)
    offset = F32(0.5) * scale - F32(0.5) if coordinates == "half_pixel" else F32(0)
    return np.asarray(np.clip(index * scale + offset, F32(0), F32(size_in - 1)), dtype=F32)


def bilinear_neighbours(
    size_in: int, size_out: int, coordinates: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Lower index, upper index and weight of the upper one in units of 2**-11, each (size_out,)."""
    position = source_positions(size_in, size_out, coordinates)
    lower = position.astype(np.int64)
    upper = np.minimum(lower + 1, size_in - 1)
    weight = np.rint((position - lower.astype(F32)) * F32(1 << WEIGHT_BITS)).astype(np.int32)
    return lower, upper, weight


def bilinear_matrix(size_in: int, size_out: int, coordinates: str) -> npt.NDArray[np.float64]:
    """The resize along one axis as a matrix (size_out, size_in) of multiples of 2**-11; each row adds up to 1."""
    lower, upper, weight = bilinear_neighbours(size_in, size_out, coordinates)
    matrix = np.zeros((size_out, size_in))
    rows = np.arange(size_out)
    share = weight / (1 << WEIGHT_BITS)
    matrix[rows, lower] += 1 - share
    matrix[rows, upper] += share
    return matrix
