"""Ranges from histograms, held to published optima and to their definitions."""

import numpy as np
import pytest

from edge.artifact.scheme import INT8_SCHEME
from edge.quantization.ptq.estimators import ESTIMATORS, Estimator, entropy, estimate, least_squares, octav
from edge.quantization.ptq.histogram import Histogram


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values, "x")
    return histogram


def test_the_optimal_clip_of_a_gaussian_in_8_bits() -> None:
    """3.92 standard deviations (Banner et al., arXiv 1810.05723, table 1), by OCTAV and by search."""
    histogram = histogram_of(np.random.default_rng(0).standard_normal(2_000_000).astype(np.float32))
    for low, high in (octav(histogram), least_squares(histogram)):
        assert -low == pytest.approx(3.92, rel=0.05) and high == pytest.approx(3.92, rel=0.05)


def test_a_uniform_distribution_is_not_clipped() -> None:
    histogram = histogram_of(np.random.default_rng(1).uniform(0, 3, 200_000).astype(np.float32))
    for low, high in (octav(histogram), entropy(histogram)):
        assert low == 0.0 and high == pytest.approx(3.0, rel=0.02)


def test_entropy_cuts_a_lone_outlier() -> None:
    values = np.append(np.random.default_rng(2).normal(0, 0.1, 100_000), 3.0).astype(np.float32)
    assert entropy(histogram_of(values))[1] < 1.0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_range_leaves_what_was_seen(estimator: Estimator) -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        values = (generator.standard_t(2, 5000) + generator.uniform(-2, 2)).astype(np.float32)
        values = np.maximum(values, 0) if seed % 3 == 0 else values
        low, high = estimate(estimator, histogram_of(values), INT8_SCHEME)
        assert min(values.min(), 0.0) <= low <= 0.0 <= high <= max(values.max(), 0.0) and low < high


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_one_value_everywhere(estimator: Estimator) -> None:
    assert estimate(estimator, histogram_of(np.zeros(10, np.float32)), INT8_SCHEME) == (0.0, 0.0)
    low, high = estimate(estimator, histogram_of(np.full(10, 2.0, np.float32)), INT8_SCHEME)
    assert low == 0.0 and 0 < high <= 2.0


def test_a_sample_of_the_values_keeps_the_bounds_of_all() -> None:
    values = np.random.default_rng(3).standard_normal(100_000).astype(np.float32)
    values[12_345] = 50.0
    sampled = Histogram()
    sampled.add(values, "x", 1000)
    assert (sampled.low, sampled.high) == (values.min(), 50.0)
    assert 500 <= sampled.values <= 1000
