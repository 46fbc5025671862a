"""What differs between two sides is named; what does not is not."""

import numpy as np
import pytest

from device_bench.compare.causes import MOST_OPERATORS, causes
from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.payoffs import Seen
from device_bench.explain.roofline import explain
from device_bench.explain.step_times import StepTime
from device_bench.records.explanation import Bandwidth, Explanation, Peaks
from device_bench.records.record import Record
from tests.benchmarks import fleet


@pytest.fixture
def record() -> Record:
    return fleet.record(0, np.random.default_rng(0))


def explanation(times_ns: dict[str, int]) -> Explanation:
    facts = [
        OperatorFacts(
            name=name,
            kind="Conv",
            precision="int8",
            multiply_adds=1000,
            bytes_moved=100,
            channels=8,
            depthwise=False,
            input_share=1.0,
        )
        for name in times_ns
    ]
    steps = [StepTime(time_ns=time, low_ns=time - 100, high_ns=time + 100) for time in times_ns.values()]
    peaks = Peaks(
        int8_multiply_adds_per_s=1e12,
        float_multiply_adds_per_s=None,
        bandwidths=(Bandwidth(working_set_bytes=100, bytes_per_s=1e10),),
        how={"int8": "a file"},
    )
    seen = Seen(threads=1, threads_ns={}, empty_ns=1)
    return explain(facts, steps, whole_ns=sum(times_ns.values()), engine="litert:xnnpack", peaks=peaks, seen=seen)


def explained(record: Record, times_ns: dict[str, int]) -> Record:
    return record.model_copy(update={"explanation": explanation(times_ns)})


def test_the_same_records_differ_in_nothing(record: Record) -> None:
    assert causes([record], [record, record]) == ()


def test_another_runtime_governor_and_clock_are_named(record: Record) -> None:
    engine = record.engine.model_copy(update={"version": "9.9"})
    slow = [
        state.model_copy(update={"governors": ("powersave",), "frequencies_khz": (600_000,)}) for state in record.states
    ]
    fast = [
        state.model_copy(update={"governors": ("performance",), "frequencies_khz": (2_400_000,)})
        for state in record.states
    ]
    base = record.model_copy(update={"states": tuple(fast)})
    found = causes([base], [record.model_copy(update={"engine": engine, "states": tuple(slow)})])
    assert [sentence.split(":")[0] for sentence in found] == ["runtime", "governor", "clock"]
    assert found[1] == "governor: performance, then powersave"
    assert found[2] == "clock: 2400 MHz, then 600 MHz"


def test_operators_are_named_where_their_intervals_do_not_meet(record: Record) -> None:
    base = explained(record, {"stem": 1000, "middle": 2000, "old": 50, "last": 3000})
    new = explained(record, {"stem": 1150, "middle": 9000, "last": 2500, "fresh": 70})
    assert causes([base], [new]) == (
        "operator middle (Conv): 2.0 us, then 9.0 us",
        "operator last (Conv): 3.0 us, then 2.5 us",
        "operators gone: old",
        "operators new: fresh",
    )


def test_many_changed_operators_are_counted(record: Record) -> None:
    names = [f"layer.{place}" for place in range(MOST_OPERATORS + 3)]
    base, new = (explained(record, dict.fromkeys(names, time)) for time in (1000, 2000))
    found = causes([base], [new])
    assert len(found) == MOST_OPERATORS + 1
    assert found[-1] == "3 more operators changed"
