"""How far two results are apart: integers in quanta, reals in decibels and in their own unit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.output_difference import largest_magnitude, values_apart
from edge.errors import UsageError

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two integer results side by side; sums over samples with `+`.

    Attributes:
        values: how many were compared. differing: how many are not equal. beyond_one: how many by more than 1 quantum.
        largest: the largest difference in quanta.
    """

    values: int = 0
    differing: int = 0
    beyond_one: int = 0
    largest: int = 0

    def __add__(self, other: "Difference") -> "Difference":
        """Both together."""
        return Difference(
            values=self.values + other.values,
            differing=self.differing + other.differing,
            beyond_one=self.beyond_one + other.beyond_one,
            largest=max(self.largest, other.largest),
        )

    @property
    def share(self) -> float:
        """Share of the values that differ, in [0, 1]; nan for none."""
        return self.differing / self.values if self.values else float("nan")


def integer_difference(expected: Array, found: Array) -> Difference:
    """Compare two integer arrays of one shape, value by value. Refuses (UsageError) other shapes and float arrays."""
    if expected.shape != found.shape:
        raise UsageError(f"results of shape {expected.shape} and {found.shape} cannot be compared")
    if expected.dtype.kind not in "iub" or found.dtype.kind not in "iub":
        raise UsageError(f"{expected.dtype} and {found.dtype} are not compared in quanta")
    if np.array_equal(expected, found):
        return Difference(values=expected.size)
    apart = np.abs(expected.astype(np.int64) - found.astype(np.int64))
    return Difference(
        values=apart.size,
        differing=int(np.count_nonzero(apart)),
        beyond_one=int(np.count_nonzero(apart > 1)),
        largest=int(apart.max(initial=0)),
    )


@dataclass(frozen=True, kw_only=True)
class RealDifference:
    """Two float results side by side; sums over samples with `+`.

    Attributes:
        values: how many were compared.
        largest: the largest absolute difference, see `values_apart`.
        magnitude: the largest finite absolute value of the first.
        signal, noise: sums of squares of the first, and of the difference.
    """

    values: int = 0
    largest: float = 0.0
    magnitude: float = 0.0
    signal: float = 0.0
    noise: float = 0.0

    def __add__(self, other: "RealDifference") -> "RealDifference":
        """Both together."""
        return RealDifference(
            values=self.values + other.values,
            largest=max(self.largest, other.largest),
            magnitude=max(self.magnitude, other.magnitude),
            signal=self.signal + other.signal,
            noise=self.noise + other.noise,
        )

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio, 10 log10(signal / noise); infinite without noise, nan without signal."""
        if self.noise == 0:
            return float("inf") if self.signal > 0 else float("nan")
        return float(10 * np.log10(self.signal / self.noise)) if self.signal > 0 else float("-inf")


def real_difference(expected: Array, found: Array) -> RealDifference:
    """Compare two float arrays of one shape. Refuses (UsageError) other shapes."""
    if expected.shape != found.shape:
        raise UsageError(f"results of shape {expected.shape} and {found.shape} cannot be compared")
    apart = values_apart(expected, found)
    first = expected.astype(np.float64)
    return RealDifference(
        values=apart.size,
        largest=float(apart.max(initial=0.0)),
        magnitude=largest_magnitude(first),
        signal=float((first[np.isfinite(first)] ** 2).sum()),
        noise=float((apart**2).sum()),
    )
