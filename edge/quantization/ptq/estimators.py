"""From the histogram of an activation to its range: min-max, percentile, least squared error."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import INT8_SCHEME, Scheme, activation_parameters
from edge.quantization.ptq.histogram import Histogram

Estimator = Literal["minmax", "percentile", "mse"]
Range = tuple[float, float]
Float64Array = npt.NDArray[np.float64]

PERCENTILE = 99.99
"""Share of the values, in percent, that the percentile estimator keeps between its ends; each end cuts half the rest,
or one end all of it where the other is zero."""
SHRINKS = np.concatenate([np.linspace(1.0, 0.5, 51), np.linspace(0.49, 0.1, 40)])
"""Shares of the full range that the least-error search tries for an end."""


def minmax(histogram: Histogram) -> Range:
    """The smallest and largest value."""
    return min(histogram.low, 0.0), max(histogram.high, 0.0)


def percentile(histogram: Histogram, keep: float = PERCENTILE) -> Range:
    """The range that `keep` percent of the values lie in; always within the smallest and largest value."""
    low, high = minmax(histogram)
    if low == high:
        return low, high
    centres, counts = histogram.filled()
    ends = 1 if low == 0.0 or high == 0.0 else 2
    cut = histogram.values * (100.0 - keep) / 100.0 / ends
    below = np.searchsorted(np.cumsum(counts), cut, side="right")
    above = np.searchsorted(np.cumsum(counts[::-1]), cut, side="right")
    kept_low = float(centres[min(int(below), centres.size - 1)])
    kept_high = float(centres[max(centres.size - 1 - int(above), 0)])
    return (min(kept_low, 0.0) if low < 0.0 else 0.0), (max(kept_high, 0.0) if high > 0.0 else 0.0)


def least_squares(histogram: Histogram, scheme: Scheme = INT8_SCHEME) -> Range:
    """The range of least squared error between values and their integers, by search over the bins.

    Both ends shrink together first, then each alone, twice; a range is replaced only by a better one, so ties keep
    the wider. The error is that of the bins' centres on the real grid, zero point rounding included.
    """
    low, high = minmax(histogram)
    if low == high:
        return low, high
    centres, counts = histogram.filled()
    weights = counts.astype(np.float64)
    best, best_error = (low, high), squared_error((low, high), centres, weights, scheme)

    def consider(candidate: Range) -> None:
        nonlocal best, best_error
        error = squared_error(candidate, centres, weights, scheme)
        if error < best_error * (1 - 1e-9):
            best, best_error = candidate, error

    shrinks = [float(shrink) for shrink in SHRINKS]
    for shrink in shrinks:
        consider((low * shrink, high * shrink))
    if low < 0.0 < high:
        for _ in range(2):
            for shrink in shrinks:
                consider((low * shrink, best[1]))
            for shrink in shrinks:
                consider((best[0], high * shrink))
    return best


def squared_error(
    candidate: Range, centres: Float64Array, weights: Float64Array, scheme: Scheme = INT8_SCHEME
) -> float:
    """Weighted squared error of values quantized with a range."""
    scale, zero_point = activation_parameters(*candidate, scheme)
    step = float(scale)
    lowest, highest = scheme.activation_limits
    grid = np.clip(np.rint(centres / step), lowest - zero_point, highest - zero_point) * step
    return float((np.square(grid - centres) * weights).sum())


ESTIMATORS: Mapping[Estimator, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": least_squares,
}


def estimate(estimator: Estimator, histogram: Histogram, scheme: Scheme = INT8_SCHEME) -> Range:
    """The range by an estimator of ESTIMATORS; only `mse` depends on the scheme's bits."""
    return least_squares(histogram, scheme) if estimator == "mse" else ESTIMATORS[estimator](histogram)
