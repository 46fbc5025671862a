"""The warm-up's end on series whose drift, steps and noise are known."""

import random

import pytest

from device_bench.agent.warmup import stable


def noisy(level: float, share: float, count: int, seed: int = 3) -> list[int]:
    generator = random.Random(seed)
    return [int(level * (1 + generator.uniform(-share, share))) for _ in range(count)]


def test_fewer_than_sixteen_samples_are_never_stable() -> None:
    assert not stable([1000] * 15)
    assert stable([1000] * 16)


@pytest.mark.parametrize("percent", [10, 20])
def test_a_drift_keeps_the_warm_up_going(percent: int) -> None:
    assert not stable([1_000_000 - 10_000 * percent * place // 100 for place in range(100)])


@pytest.mark.parametrize("place", [130, 150, 170])
def test_a_step_within_the_last_two_windows_is_seen(place: int) -> None:
    assert not stable([1_000_000] * place + [900_000] * (200 - place))


def test_a_step_long_ago_is_over() -> None:
    assert stable([1_000_000] * 90 + [900_000] * 110)


def test_outliers_do_not_keep_the_warm_up_going() -> None:
    assert stable([9_000_000 if place % 10 == 3 else 1_000_000 for place in range(64)])


def test_noise_is_averaged_by_longer_windows() -> None:
    seeds = range(50)
    assert sum(stable(noisy(1e6, 0.05, 16, seed)) for seed in seeds) < 25
    assert sum(stable(noisy(1e6, 0.05, 1000, seed)) for seed in seeds) >= 45
