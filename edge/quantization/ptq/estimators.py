"""From the histogram of an activation to its range: min-max, percentile, least squared error, OCTAV, entropy."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import INT8_SCHEME, Scheme, activation_parameters
from edge.quantization.ptq.histogram import Histogram

Estimator = Literal["minmax", "percentile", "mse", "octav", "entropy"]
Range = tuple[float, float]
Float64Array = npt.NDArray[np.float64]

PERCENTILE = 99.99
"""Share of the values, in percent, that the percentile estimator keeps between its ends; each end cuts half the rest,
or one end all of it where the other is zero."""
SHRINKS = np.concatenate([np.linspace(1.0, 0.5, 51), np.linspace(0.49, 0.1, 40)])
"""Shares of the full range that the least-error search tries for an end."""
COARSE = 5
"""Every so many-th share is tried first, then those around the best of them."""


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
    best, best_error = (low, high), squared_errors([(low, high)], centres, weights, scheme)[0]

    def consider(candidates: Sequence[Range]) -> None:
        nonlocal best, best_error
        coarse = squared_errors(candidates[::COARSE], centres, weights, scheme)
        middle = COARSE * coarse.index(min(coarse))
        near = candidates[max(0, middle - COARSE + 1) : middle + COARSE]
        for candidate, error in zip(near, squared_errors(near, centres, weights, scheme), strict=True):
            if error < best_error * (1 - 1e-9):
                best, best_error = candidate, error

    shrinks = [float(shrink) for shrink in SHRINKS]
    consider([(low * shrink, high * shrink) for shrink in shrinks])
    if low < 0.0 < high:
        for _ in range(2):
            consider([(low * shrink, best[1]) for shrink in shrinks])
            consider([(best[0], high * shrink) for shrink in shrinks])
    return best


def octav(histogram: Histogram, scheme: Scheme = INT8_SCHEME) -> Range:
    """The range whose ends are clipped optimally, each for the values of its sign (OCTAV, arXiv 2206.06501, eq. 6).

    An end s is the fixed point of E[x; x > s] / (P(x > s) + c P(0 < x <= s)): there clipping and rounding err alike.
    The rounding error of a value is c s^2, with c = 4^-bits / 3 of a grid from -s to s, 4^-bits / 12 of one from 0.
    """
    low, high = minmax(histogram)
    if low == high:
        return low, high
    centres, counts = histogram.filled()
    rounding = 4.0**-scheme.activation_bits / (3 if low < 0.0 < high else 12)
    above = _clipped(centres, counts, rounding) if high > 0.0 else 0.0
    below = -_clipped(-centres, counts, rounding) if low < 0.0 else 0.0
    return max(below, low), min(above, high)


def _clipped(values: Float64Array, counts: npt.NDArray[np.int64], rounding: float) -> float:
    """The fixed point for the positive values, from their mean."""
    positive = values > 0
    values, weights = values[positive], counts[positive].astype(np.float64)
    end = 0.0
    for _ in range(OCTAV_ITERATIONS):
        beyond = values > end
        clipped = weights[beyond].sum()
        if not clipped:
            break
        following = float((values[beyond] * weights[beyond]).sum() / (clipped + rounding * weights[~beyond].sum()))
        if abs(following - end) <= 1e-4 * end:
            break
        end = following
    return end


OCTAV_ITERATIONS = 50
ENTROPY_BINS = 2048
ENTROPY_VALUES = 16 * ENTROPY_BINS


def entropy(histogram: Histogram, scheme: Scheme = INT8_SCHEME) -> Range:
    """The range whose integers tell most of the distribution (Migacz, 8-bit inference with TensorRT, GTC 2017).

    The least Kullback-Leibler divergence of the clipped values, in ENTROPY_BINS bins, from what 2^bits levels keep of
    them; one magnitude is the limit on either side. Of fewer than ENTROPY_VALUES values the shape is not known well
    enough: their smallest to largest.
    """
    low, high = minmax(histogram)
    if low == high or histogram.values < ENTROPY_VALUES:
        return low, high
    centres, counts = histogram.filled()
    levels = min(ENTROPY_BINS, 2**scheme.activation_bits)
    bins = np.minimum(((centres - low) / (high - low) * ENTROPY_BINS).astype(np.int64), ENTROPY_BINS - 1)
    counts = np.bincount(bins, counts, ENTROPY_BINS).astype(np.int64)
    centres = (low + (np.arange(ENTROPY_BINS) + 0.5) * (high - low) / ENTROPY_BINS)[counts > 0]
    counts = counts[counts > 0]
    ends = [max(-low, high) * float(shrink) for shrink in SHRINKS]
    ranges = [(max(low, -end), min(high, end)) for end in ends]
    divergences = [_divergence(centres, counts, *found, levels) for found in ranges]
    return ranges[int(np.argmin(divergences))]


def _divergence(centres: Float64Array, counts: npt.NDArray[np.int64], low: float, high: float, levels: int) -> float:
    inside = (centres >= low) & (centres <= high)
    kept = counts[inside].astype(np.float64)
    if not kept.size:
        return np.inf
    clipped = kept.copy()
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    level = np.minimum(((centres[inside] - low) / (high - low) * levels).astype(np.int64), levels - 1)
    spread = np.bincount(level, kept, levels) / np.maximum(np.bincount(level, minlength=levels), 1)
    p, q = clipped / clipped.sum(), spread[level] / kept.sum()
    return float((p * np.log(p / q)).sum())


def squared_errors(
    candidates: Sequence[Range], centres: Float64Array, weights: Float64Array, scheme: Scheme = INT8_SCHEME
) -> list[float]:
    """Weighted squared errors of values quantized with each of some ranges."""
    parameters = [activation_parameters(*candidate, scheme) for candidate in candidates]
    steps, zero_points = (np.array(column, np.float64)[:, None] for column in zip(*parameters, strict=True))
    lowest, highest = scheme.activation_limits
    errors: list[float] = []
    rows = max(1, MOST_AT_ONCE // centres.size)
    for start in range(0, len(candidates), rows):
        step, zero_point = steps[start : start + rows], zero_points[start : start + rows]
        grid = centres / step
        np.rint(grid, out=grid)
        np.clip(grid, lowest - zero_point, highest - zero_point, out=grid)
        grid *= step
        grid -= centres
        np.square(grid, out=grid)
        errors += (grid @ weights).tolist()
    return errors


MOST_AT_ONCE = 1 << 17
"""Numbers of a temporary table of errors: it stays in a cache."""


ESTIMATORS: Mapping[Estimator, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": least_squares,
    "octav": octav,
    "entropy": entropy,
}


OF_BITS: Mapping[Estimator, Callable[[Histogram, Scheme], Range]] = {
    "mse": least_squares,
    "octav": octav,
    "entropy": entropy,
}
"""Those that depend on how many bits there are."""


def estimate(estimator: Estimator, histogram: Histogram, scheme: Scheme = INT8_SCHEME) -> Range:
    """The range by an estimator of ESTIMATORS."""
    return OF_BITS[estimator](histogram, scheme) if estimator in OF_BITS else ESTIMATORS[estimator](histogram)
