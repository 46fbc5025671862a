"""Waits double up to a limit, and differ between devices."""

import random

from edge.camera.backoff import Backoff


def waits(seed: int) -> list[float]:
    backoff = Backoff(first_s=1.0, cap_s=20.0, random=random.Random(seed))
    return [backoff.next_s() for _ in range(200)]


def test_a_wait_is_between_half_and_all_of_the_doubled_one() -> None:
    for tries, wait in enumerate(waits(0)):
        whole = min(20.0, 2.0**tries)
        assert whole / 2 <= wait <= whole
    assert waits(0) != waits(1)


def test_a_success_begins_anew() -> None:
    backoff = Backoff(first_s=1.0)
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1.0
