"""The loop, with the null engine and a scripted clock: order, number and length of the runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from device_bench.measure import Subject, measure
from device_bench.plan import Plan, share
from edge.runtime.engine import EngineInfo, Port
from edge.runtime.null import NullSession

PORTS = (Port(name="x", shape=(1,), dtype="int8"),)


class ScriptedSession:
    """A null session whose every run takes a fixed time on a clock that it owns a hand of."""

    def __init__(self, name: str, duration_ns: int, clock: "ScriptedClock", log: list[str]) -> None:
        self._null = NullSession(inputs=PORTS, outputs=PORTS)
        self._name, self._duration_ns, self._clock, self._log = name, duration_ns, clock, log

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self._null.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._null.outputs

    @property
    def info(self) -> EngineInfo:
        return self._null.info

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        self._log.append(self._name)
        self._clock.now_ns += self._duration_ns
        return self._null.run(inputs)


class ScriptedClock:
    """A clock that moves only when a session moves it."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def subjects(durations_ns: dict[str, int]) -> tuple[list[Subject], ScriptedClock, list[str]]:
    clock, log = ScriptedClock(), list[str]()
    made = [
        Subject(session=ScriptedSession(name, duration, clock, log), inputs=[np.zeros(1, np.int8)])
        for name, duration in durations_ns.items()
    ]
    return made, clock, log


def plan(**changes: int) -> Plan:
    return Plan.model_validate(
        {"rounds": 2, "warmup_runs": 1, "warmup_duration_ns": 0, "min_runs": 4, "min_duration_ns": 0} | changes
    )


def test_subjects_take_turns_and_each_block_opens_with_an_unmeasured_run() -> None:
    made, clock, log = subjects({"a": 10, "b": 20})
    samples = measure(made, plan(), clock=clock)
    assert "".join(log) == "ab" + "aaa" + "bbb" + "aaa" + "bbb"
    assert samples == [[10] * 4, [20] * 4]


def test_the_least_duration_decides_when_it_needs_more_runs() -> None:
    made, clock, _ = subjects({"fast": 10, "slow": 1000})
    fast, slow = measure(made, plan(min_duration_ns=400), clock=clock)
    assert (len(fast), len(slow)) == (40, 4)
    assert sum(fast) == 400


def test_the_most_runs_end_a_measurement_before_its_duration() -> None:
    made, clock, _ = subjects({"fast": 1})
    assert len(measure(made, plan(min_duration_ns=10**9, max_runs=100), clock=clock)[0]) == 100


def test_warm_up_lasts_for_its_duration_and_is_not_measured() -> None:
    made, clock, log = subjects({"a": 10})
    (samples,) = measure(made, plan(warmup_runs=3, warmup_duration_ns=100), clock=clock)
    assert len(log) - len(samples) - 2 == 10


def test_progress_is_told_between_blocks_only() -> None:
    made, clock, log = subjects({"a": 1, "b": 1})
    seen: list[tuple[int, int, int]] = []
    measure(made, plan(), clock=clock, progress=lambda done, total: seen.append((done, total, len(log))))
    assert seen == [(1, 4, 5), (2, 4, 8), (3, 4, 11), (4, 4, 14)]


def test_shares_add_up_to_at_least_the_total() -> None:
    for total in range(50):
        for rounds in range(1, 12):
            assert total <= share(total, rounds) * rounds < total + rounds
