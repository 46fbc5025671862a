"""1 / sqrt of integers in 31-bit fixed point, as LiteRT's built-in kernels compute it (Rsqrt, L2Norm).

Five Newton steps x = 1.5 x - 0.5 v x^3 with 3 integer bits, every product rounded half away from zero to 31 bits.
"""

import numpy as np
import numpy.typing as npt

from edge.execution.kernels import fixed_point

Integers = npt.NDArray[np.int64]
LARGEST = (1 << 31) - 1
HALF_SQRT_2 = 1518500250  # sqrt(2) / 2 with 31 bits of fraction
NEWTON_STEPS = 5


def inverse_root(values: Integers) -> tuple[Integers, Integers]:
    """Multiplier m and shift n of every integer v: 1 / sqrt(v) = m / 2**31 / 2**n. v is 1 to 2**31 - 1.

    For v of 1 or less the multiplier is the largest one and the shift 0.
    """
    value = np.maximum(np.asarray(values, np.int64), 1)
    shift = np.full(value.shape, 11, np.int64)
    while (large := value >= 1 << 29).any():
        value = np.where(large, value // 4, value)
        shift = shift + large
    bit_length = np.frexp(value.astype(np.float64))[1].astype(np.int64)
    pairs = (32 - bit_length - 1) // 2 - 1
    shift = shift - pairs
    half = fixed_point.shifted((value << (2 * pairs)) >> 1, 1)
    root = np.full(value.shape, 1 << 28, np.int64)
    for _ in range(NEWTON_STEPS):
        cube = _raised(_product(_product(root, root), root), 6)
        root = _raised(_product(np.int64(3 << 27), root) - _product(half, cube), 3)
    root = _product(root, np.int64(HALF_SQRT_2))
    root = np.where(shift < 0, root << np.maximum(-shift, 0), root)
    small = np.asarray(values, np.int64) <= 1
    return np.where(small, LARGEST, root), np.where(small, 0, np.maximum(shift, 0))


def _product(left: Integers | np.int64, right: Integers | np.int64) -> Integers:
    return fixed_point.high_product(np.asarray(left, np.int64), np.asarray(right, np.int64), 31)


def _raised(values: Integers, bits: int) -> Integers:
    return np.asarray(np.clip(values << bits, -LARGEST - 1, LARGEST), dtype=np.int64)
