"""Calls timed in turn, so that a slow change of the machine meets all of them alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from device_bench.agent.loop import Clock


def in_turn(
    calls: Sequence[Callable[[], Any]],
    *,
    rounds: int,
    untimed: "Sequence[Callable[[], Any]] | None" = None,
    clock: Clock = time.perf_counter_ns,
    pause_s: float = 0.0,
    settle_ns: int = 0,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[int]]:
    """Time every call once a round, after an untimed one that brings its data into the caches.

    Args:
        untimed: called before each of them in its place.
        pause_s: before each of them, until the threads of the one before rest.
        settle_ns: untimed calls go on for so long: threads of the one before come to rest, and its own, woken up, are
            spread over the processors. With several threads one call is not enough.

    Returns:
        For every call its nanoseconds, one a round.
    """
    times: list[list[int]] = [[] for _ in calls]
    for _ in range(rounds):
        for taken, call, prepare in zip(times, calls, untimed or calls, strict=True):
            if pause_s:
                sleep(pause_s)
            settled_ns = clock() + settle_ns if settle_ns else None
            prepare()
            while settled_ns is not None and clock() < settled_ns:
                prepare()
            start_ns = clock()
            call()
            taken.append(clock() - start_ns)
    return times
