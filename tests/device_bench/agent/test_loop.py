"""The loop, with a scripted clock: order, number and length of the runs."""

import gc
from collections.abc import Sequence
from dataclasses import replace

import pytest

from device_bench.agent.loop import LoopPlan, Samples, Subject, measure, share

pytestmark = pytest.mark.unhurried


class ScriptedClock:
    """A clock that moves only when a session moves it."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def subjects(durations_ns: dict[str, int]) -> tuple[list[Subject], ScriptedClock, list[str]]:
    clock, log = ScriptedClock(), list[str]()

    def query(name: str, duration_ns: int) -> None:
        log.append(name)
        clock.now_ns += duration_ns

    made = [Subject(query=lambda name=name, ns=ns: query(name, ns)) for name, ns in durations_ns.items()]
    return made, clock, log


def at_once(samples_ns: Sequence[int]) -> bool:
    return True


def never(samples_ns: Sequence[int]) -> bool:
    return False


def plan(**changes: int) -> LoopPlan:
    fields = {"rounds": 2, "warmup_runs": 1, "warmup_duration_ns": 0, "max_warmup_duration_ns": 10**12}
    return LoopPlan(**(fields | {"min_runs": 4, "min_duration_ns": 0, "max_runs": 20_000} | changes))


def test_subjects_take_turns_and_each_block_opens_with_an_unmeasured_run() -> None:
    made, clock, log = subjects({"a": 10, "b": 20})
    samples = [entry.samples_ns for entry in measure(made, plan(), stable=at_once, clock=clock)]
    assert "".join(log) == "ab" + "aaa" + "bbb" + "aaa" + "bbb"
    assert samples == [[10] * 4, [20] * 4]


def test_the_least_duration_decides_when_it_needs_more_runs() -> None:
    made, clock, _ = subjects({"fast": 10, "slow": 1000})
    measured = measure(made, plan(min_duration_ns=400), stable=at_once, clock=clock)
    fast, slow = (entry.samples_ns for entry in measured)
    assert (len(fast), len(slow)) == (40, 4)
    assert sum(fast) == 400


def test_the_most_runs_end_a_measurement_before_its_duration() -> None:
    made, clock, _ = subjects({"fast": 1})
    (measured,) = measure(made, plan(min_duration_ns=10**9, max_runs=100), stable=at_once, clock=clock)
    assert len(measured.samples_ns) == 100


def warmed(samples: Samples) -> tuple[int, int, bool]:
    return samples.warmup_runs, samples.warmup_duration_ns, samples.stable


def test_warm_up_lasts_for_its_number_and_duration_and_is_not_measured() -> None:
    made, clock, log = subjects({"a": 10})
    (found,) = measure(made, plan(warmup_runs=3, warmup_duration_ns=100), stable=at_once, clock=clock)
    assert warmed(found) == (10, 100, True)
    assert len(log) == 10 + 2 + len(found.samples_ns)


def test_warm_up_goes_on_until_the_median_is_stable() -> None:
    made, clock, _ = subjects({"a": 10})
    (found,) = measure(made, plan(), stable=lambda seen: len(seen) >= 30, clock=clock)
    assert found.stable and 30 <= found.warmup_runs <= 34


@pytest.mark.parametrize(("changes", "runs"), [({"max_warmup_duration_ns": 200}, 20), ({"max_runs": 50}, 50)])
def test_warm_up_that_never_settles_ends_by_time_or_number_and_says_so(changes: dict[str, int], runs: int) -> None:
    made, clock, _ = subjects({"a": 10})
    (found,) = measure(made, plan(**changes), stable=never, clock=clock)
    assert warmed(found) == (runs, 10 * runs, False)


def test_a_device_with_its_own_clock_gives_its_samples_and_transfers_apart() -> None:
    subject = Subject(query=lambda: None, timed_query=lambda: (3, 20, 5))
    (found,) = measure([subject], plan(), stable=at_once, clock=ScriptedClock())
    assert (found.to_device_ns, found.samples_ns, found.to_host_ns) == ([3] * 4, [20] * 4, [5] * 4)


def test_stages_are_measured_in_the_same_rounds_after_the_model_alone() -> None:
    clock, log = ScriptedClock(), list[str]()

    def stages() -> tuple[int, ...]:
        log.append("s")
        return (1, 2, 3, 4, 5)

    subject = Subject(query=lambda: log.append("q"), stages=stages)
    (found,) = measure([subject], plan(), stable=at_once, clock=clock)
    assert "".join(log) == "q" + 2 * ("qqq" + "sss")
    assert found.stages_ns == [(1, 2, 3, 4, 5)] * 4


def test_the_garbage_collector_rests_during_a_block_and_works_again_afterwards() -> None:
    seen: list[bool] = []
    measure([Subject(query=lambda: seen.append(gc.isenabled()))], plan(), stable=at_once, clock=ScriptedClock())
    assert seen[0] and not any(seen[1:])
    assert gc.isenabled()


def test_the_machine_is_looked_at_after_every_round() -> None:
    made, clock, log = subjects({"a": 1, "b": 1})
    at: list[str] = []
    measure(made, plan(), stable=at_once, clock=clock, between=lambda: at.append("".join(log)))
    assert at == ["ab" + "aaabbb", "ab" + "aaabbb" * 2]


def test_the_next_subject_waits_until_the_threads_of_the_last_one_rest() -> None:
    made, clock, log = subjects({"a": 10, "b": 20})
    spinning = [replace(made[0], spins_s=0.05), made[1]]
    measure(spinning, plan(), stable=at_once, clock=clock, pause=lambda seconds: log.append(f"({seconds})"))
    assert "".join(log) == "a(0.05)b" + "aaa(0.05)bbb" * 2
    log.clear()
    measure(spinning[:1], plan(), stable=at_once, clock=clock, pause=lambda seconds: log.append("("))
    assert "(" not in log, "alone it disturbs nobody"


def test_progress_is_told_between_blocks_only() -> None:
    made, clock, log = subjects({"a": 1, "b": 1})
    seen: list[tuple[int, int, int]] = []
    measure(
        made, plan(), stable=at_once, clock=clock, progress=lambda done, total: seen.append((done, total, len(log)))
    )
    assert seen == [(1, 4, 5), (2, 4, 8), (3, 4, 11), (4, 4, 14)]


def test_shares_add_up_to_at_least_the_total() -> None:
    for total in range(50):
        for rounds in range(1, 12):
            assert total <= share(total, rounds) * rounds < total + rounds
