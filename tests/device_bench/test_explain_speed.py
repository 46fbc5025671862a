"""Times, roofline, reasons and changes follow from what was measured."""

import numpy as np
import pytest

from device_bench.explain_speed.prefix_times import StepTime, step_times, time_in_turn
from device_bench.explain_speed.roofline import OperatorFacts, explain
from device_bench.explanation import Explanation, Peaks

PEAKS = Peaks(int8_multiply_adds_per_s=1e9, float_multiply_adds_per_s=5e8, bandwidth_bytes_per_s=1e9, how={})


def fact(
    kind: str, *, precision: str = "int8", count: int = 0, size: int = 100, depthwise: bool = False
) -> OperatorFacts:
    return OperatorFacts(
        name=kind.lower(),
        kind=kind,
        precision=precision,
        multiply_adds=count,
        bytes_moved=size,
        channels=8,
        depthwise=depthwise,
        input_share=0.25,
    )


def explained(facts: list[OperatorFacts], times_ns: list[int], whole_ns: int) -> Explanation:
    steps = [StepTime(time_ns=time, low_ns=time, high_ns=time) for time in times_ns]
    return explain(facts, steps, whole_ns=whole_ns, engine="litert:xnnpack", peaks=PEAKS)


def test_differences_sum_to_the_last_beginning() -> None:
    times = np.random.default_rng(0).integers(100, 200, (9, 5)).cumsum(axis=1)
    steps = step_times(times)
    assert sum(step.time_ns for step in steps) == int(np.median(times[:, -1]))
    assert all(step.low_ns <= step.time_ns <= step.high_ns for step in steps)


def test_calls_are_taken_in_turn_each_after_one_untimed_call() -> None:
    seen: list[str] = []
    ticks = iter(range(100))
    times = time_in_turn([lambda: seen.append("a"), lambda: seen.append("b")], rounds=2, clock=lambda: next(ticks))
    assert seen == ["a", "a", "b", "b"] * 2
    assert times.tolist() == [[1, 1], [1, 1]]


def test_the_roofline_says_what_bounds_an_operator_and_what_it_attains() -> None:
    found = explained([fact("Conv", count=1000), fact("Conv", count=10, depthwise=True)], [2000, 400], 2500)
    dense, depthwise = found.operators
    assert [dense.bound, depthwise.bound] == ["compute", "memory"]
    assert [dense.attainable, depthwise.attainable] == pytest.approx([0.5, 0.25])
    assert found.unexplained_ns == 100


def test_pads_transposes_and_float_operators_are_named_with_their_time() -> None:
    facts = [fact("Pad"), fact("Conv", count=1000), fact("Transpose"), fact("Sigmoid", precision="float32")]
    found = explained(facts, [100, 600, 200, 100], 1000)
    assert {reason.name: reason.share_time for reason in found.reasons} == pytest.approx(
        {"transpose": 0.2, "pad": 0.1, "float": 0.1}
    )
    assert [change.gain for change in found.changes] == pytest.approx([0.2, 0.1])


def test_a_class_map_chosen_before_the_resize_keeps_the_small_argmax() -> None:
    found = explained([fact("Conv", count=1000), fact("Resize"), fact("ArgMax")], [200, 400, 400], 1000)
    assert found.changes[0].gain == pytest.approx(0.4 + 0.4 - 0.4 * 0.25)


def test_a_model_that_loses_nothing_gets_no_advice() -> None:
    assert explained([fact("Conv", count=1000)], [1000], 1000).changes == ()


def test_an_operator_lost_in_the_noise_gets_no_attained_rate() -> None:
    steps = [StepTime(time_ns=100, low_ns=-20, high_ns=220)]
    found = explain([fact("Conv", count=1000)], steps, whole_ns=100, engine="litert:xnnpack", peaks=PEAKS)
    assert found.operators[0].attainable is None
