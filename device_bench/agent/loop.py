"""Measure subjects in turn: the loop, free of files, machines and printing.

A sample is one query between two readings of the clock, and nothing of the harness lies between them: see `block`.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Clock = Callable[[], int]  # nanoseconds from any fixed moment, never going back
Progress = Callable[[int, int], None]  # blocks done, blocks in all
Stable = Callable[[Sequence[int]], bool]
CHECK_EVERY = 8  # stability is asked for when the warm-up has grown by an eighth


@dataclass(frozen=True, kw_only=True)
class LoopPlan:
    """What the loop needs of a plan: see `device_bench.records.plan.Plan`."""

    rounds: int
    warmup_runs: int
    warmup_duration_ns: int
    max_warmup_duration_ns: int
    min_runs: int
    min_duration_ns: int
    max_runs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A loaded model.

    Attributes:
        query: one query with its inputs bound; what it returns is dropped.
        timed_query: for a device with a clock of its own: one query, as nanoseconds (there, computing, back).
        stages: one run from an encoded picture to the answer, as nanoseconds of its stages.
        spins_s: how long its threads may go on spinning after its last query, at the cost of whatever runs next.
    """

    query: Callable[[], Any]
    timed_query: Callable[[], tuple[int, int, int]] | None = None
    stages: Callable[[], tuple[int, ...]] | None = None
    spins_s: float = 0.0


@dataclass(kw_only=True)
class Samples:
    """What was measured of one subject, in order; all in nanoseconds. `failure`: what ended it before its time."""

    samples_ns: list[int] = field(default_factory=list)
    to_device_ns: list[int] = field(default_factory=list)
    to_host_ns: list[int] = field(default_factory=list)
    stages_ns: list[tuple[int, ...]] = field(default_factory=list)
    warmup_runs: int = 0
    warmup_duration_ns: int = 0
    stable: bool = False
    failure: Exception | None = None


def loop_plan(plan: Mapping[str, Any]) -> LoopPlan:
    """The loop's part of a plan as it stands in a job."""
    return LoopPlan(
        rounds=plan["rounds"],
        warmup_runs=plan["warmup_runs"],
        warmup_duration_ns=plan["warmup_duration_ns"],
        max_warmup_duration_ns=plan["max_warmup_duration_ns"],
        min_runs=plan["min_runs"],
        min_duration_ns=plan["min_duration_ns"],
        max_runs=plan["max_runs"],
    )


def share(total: int, rounds: int) -> int:
    """What one of `rounds` blocks has to bring so that all of them together reach `total`: rounded up."""
    return -(-total // rounds)


def block(query: Callable[[], Any], clock: Clock, least_runs: int, least_ns: int, most_runs: int) -> list[int]:
    """Samples in nanoseconds, until both the number and the sum are reached, or the most runs."""
    samples_ns: list[int] = []
    append = samples_ns.append
    total_ns = count = 0
    while (count < least_runs or total_ns < least_ns) and count < most_runs:
        start_ns = clock()
        query()
        sample_ns = clock() - start_ns
        append(sample_ns)
        total_ns += sample_ns
        count += 1
    return samples_ns


def warm_up(subject: Subject, plan: LoopPlan, clock: Clock, stable: Stable) -> Samples:
    """Run unmeasured until number and duration of the plan are reached and the running median is stable.

    At least one query; over when `max_warmup_duration_ns` or the larger of both numbers of runs is reached.
    """
    seen: list[int] = []
    total_ns = next_check = 0
    settled = False
    while not settled:
        if seen and (total_ns >= plan.max_warmup_duration_ns or len(seen) >= max(plan.warmup_runs, plan.max_runs)):
            settled = stable(seen)
            break
        seen += block(subject.query, clock, 1, 0, 1)
        total_ns += seen[-1]
        enough = len(seen) >= plan.warmup_runs and total_ns >= plan.warmup_duration_ns
        if enough and len(seen) >= next_check:
            settled = stable(seen)
            next_check = len(seen) + 1 + len(seen) // CHECK_EVERY
    return Samples(warmup_runs=len(seen), warmup_duration_ns=total_ns, stable=settled)


def measure_block(subject: Subject, samples: Samples, plan: LoopPlan, clock: Clock) -> None:
    """One block of one subject, added to its samples; the garbage collector rests meanwhile."""
    least_runs, least_ns = share(plan.min_runs, plan.rounds), share(plan.min_duration_ns, plan.rounds)
    most_runs = share(plan.max_runs, plan.rounds)
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        subject.query()
        if subject.timed_query is None:
            samples.samples_ns += block(subject.query, clock, least_runs, least_ns, most_runs)
        else:
            _device_block(subject.timed_query, samples, least_runs, least_ns, most_runs)
        if subject.stages is not None:
            _stage_block(subject.stages, samples, least_runs, least_ns, most_runs)
    finally:
        if collecting:
            gc.enable()


def _device_block(
    query: Callable[[], tuple[int, int, int]], samples: Samples, least_runs: int, least_ns: int, most_runs: int
) -> None:
    total_ns = count = 0
    while (count < least_runs or total_ns < least_ns) and count < most_runs:
        to_device_ns, compute_ns, to_host_ns = query()
        samples.to_device_ns.append(to_device_ns)
        samples.samples_ns.append(compute_ns)
        samples.to_host_ns.append(to_host_ns)
        total_ns += compute_ns
        count += 1


def _stage_block(
    stages: Callable[[], tuple[int, ...]], samples: Samples, least_runs: int, least_ns: int, most_runs: int
) -> None:
    stages()
    total_ns = count = 0
    while (count < least_runs or total_ns < least_ns) and count < most_runs:
        durations_ns = stages()
        samples.stages_ns.append(durations_ns)
        total_ns += sum(durations_ns)
        count += 1


def measure(
    subjects: Sequence[Subject],
    plan: LoopPlan,
    *,
    stable: Stable,
    clock: Clock = time.perf_counter_ns,
    pause: Callable[[float], None] = time.sleep,
    between: Callable[[], None] | None = None,
    progress: Progress | None = None,
    begins: Callable[[int], None] | None = None,
) -> list[Samples]:
    """Measure subjects in turn, block by block. One that fails is omitted from there on; the others are measured.

    Args:
        begins: called with a subject's place before its warm-up.
        stable: whether the median of these warm-up samples has settled.
        pause: sleeps for so many seconds; before another subject's turn, until the threads of the last one rest.
        between: called after every round. progress: called between blocks only, never during one.

    Returns:
        What was measured of every subject, in their order.
    """

    def leave(subject: Subject) -> None:
        if len(subjects) > 1 and subject.spins_s:
            pause(subject.spins_s)

    measured = []
    for place, subject in enumerate(subjects):
        if begins is not None:
            begins(place)
        try:
            measured.append(warm_up(subject, plan, clock, stable))
        except Exception as error:  # whatever a native runtime raises
            measured.append(Samples(failure=error))
        leave(subject)
    total = plan.rounds * len(subjects)
    for number in range(total):
        index = number % len(subjects)
        if measured[index].failure is None:
            try:
                measure_block(subjects[index], measured[index], plan, clock)
            except Exception as error:
                measured[index].failure = error
            leave(subjects[index])
        if between is not None and index == len(subjects) - 1:
            between()
        if progress is not None:
            progress(number + 1, total)
    return measured
