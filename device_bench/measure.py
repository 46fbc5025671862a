"""Measure subjects in turn: the loop, free of files, machines and printing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from device_bench.plan import Plan, share
from edge.runtime.engine import Session

Clock = Callable[[], int]  # nanoseconds from any fixed moment, never going back
Progress = Callable[[int, int], None]  # blocks done, blocks in all


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A loaded model and the raw input that every run of it gets."""

    session: Session
    inputs: Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The value of one call and the time it took."""

    value: Any
    duration_ns: int


def timed(call: Callable[[], Any], clock: Clock = time.perf_counter_ns) -> Timed:
    """Call once between two readings of the clock."""
    start_ns = clock()
    value = call()
    return Timed(value=value, duration_ns=clock() - start_ns)


def run_once(subject: Subject, clock: Clock) -> int:
    """One run, in nanoseconds."""
    session, inputs = subject.session, subject.inputs
    start_ns = clock()
    session.run(inputs)
    return clock() - start_ns


def warm_up(subject: Subject, plan: Plan, clock: Clock) -> None:
    """Run unmeasured until both the number and the duration of the plan are reached."""
    runs = duration_ns = 0
    while runs < plan.warmup_runs or duration_ns < plan.warmup_duration_ns:
        duration_ns += run_once(subject, clock)
        runs += 1
        if runs >= max(plan.warmup_runs, plan.max_runs):
            return


def measure_block(subject: Subject, plan: Plan, clock: Clock) -> list[int]:
    """One block of samples in nanoseconds: see Plan."""
    run_once(subject, clock)
    least_runs = share(plan.min_runs, plan.rounds)
    least_ns = share(plan.min_duration_ns, plan.rounds)
    most_runs = share(plan.max_runs, plan.rounds)
    samples_ns: list[int] = []
    total_ns = 0
    while (len(samples_ns) < least_runs or total_ns < least_ns) and len(samples_ns) < most_runs:
        sample_ns = run_once(subject, clock)
        samples_ns.append(sample_ns)
        total_ns += sample_ns
    return samples_ns


def measure(
    subjects: Sequence[Subject],
    plan: Plan,
    *,
    clock: Clock = time.perf_counter_ns,
    progress: Progress | None = None,
) -> list[list[int]]:
    """Measure subjects in turn, block by block.

    Args:
        progress: called between blocks only, never during one.

    Returns:
        For every subject its samples in nanoseconds, in the order of measurement.
    """
    for subject in subjects:
        warm_up(subject, plan, clock)
    samples_ns: list[list[int]] = [[] for _ in subjects]
    total = plan.rounds * len(subjects)
    for block in range(total):
        index = block % len(subjects)
        samples_ns[index] += measure_block(subjects[index], plan, clock)
        if progress is not None:
            progress(block + 1, total)
    return samples_ns
