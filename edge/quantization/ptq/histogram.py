"""A histogram that grows with what it sees: bins are a power of two wide, so widening them merges pairs exactly.

The result does not depend on the order in which values come, or in how many batches.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError

HALF_BINS = 8192
"""Bins on either side of zero; at least half of them lie within the largest magnitude: 16 or more a quantum."""


class Histogram:
    """Counts of the values of one group of activations.

    Attributes:
        low, high: exact smallest and largest value; 0 before the first.
        values: how many were seen.
    """

    def __init__(self, *, bounds_only: bool = False) -> None:
        """Count nothing but `low` and `high` if `bounds_only`."""
        self.low = 0.0
        self.high = 0.0
        self.values = 0
        self._bounds_only = bounds_only
        self._width = 0.0
        self._counts = np.zeros(2 * HALF_BINS, np.int64)

    def add(self, values: npt.NDArray[Any], name: str, most: int | None = None) -> None:
        """Count float values of any shape, of more than `most` that many at even distances; bounds are those of all.

        Raises:
            EdgeError: one of them is not finite; the message has `name`.
        """
        flat = np.asarray(values, np.float32).reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EdgeError(f"'{name}' holds values that are not finite ({low} to {high})")
        self.low = low if not self.values else min(self.low, low)
        self.high = high if not self.values else max(self.high, high)
        if most is not None and flat.size > most:
            flat = flat[:: flat.size // most | 1]  # odd: it keeps to no column of an even-sized map
        self.values += flat.size
        if self._bounds_only:
            return
        self._widen(max(-low, high))
        if self._width:
            index = np.floor(flat * np.float32(1.0 / self._width)).astype(np.int64)
            index += HALF_BINS
            self._counts += np.bincount(np.minimum(index, 2 * HALF_BINS - 1), minlength=2 * HALF_BINS)
        else:
            self._counts[HALF_BINS] += flat.size

    def hold(self, low: float, high: float) -> None:
        """Extend the bounds to those of values that were not counted."""
        self.low, self.high = min(self.low, low), max(self.high, high)

    def _widen(self, magnitude: float) -> None:
        """Make bins wide enough for a magnitude, merging pairs of bins as often as needed."""
        if magnitude <= self._width * HALF_BINS:
            return
        width = 2.0 ** max(math.ceil(math.log2(magnitude / HALF_BINS)), -120)
        while self._width and self._width < width:
            pairs = self._counts.reshape(-1, 2).sum(axis=1)  # HALF_BINS, centred on the same zero
            self._counts = np.zeros_like(self._counts)
            self._counts[HALF_BINS // 2 : HALF_BINS // 2 + HALF_BINS] = pairs
            self._width *= 2
        self._width = width

    def filled(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Centres of the bins that hold something, ascending, and their counts."""
        (index,) = np.nonzero(self._counts)
        centres = (index - HALF_BINS + 0.5) * self._width
        return np.clip(centres, self.low, self.high), self._counts[index]
