"""Times, roofline, reasons and changes follow from what was measured."""

import json
from dataclasses import replace

import numpy as np
import pytest

from device_bench.agent.turns import in_turn
from device_bench.explain.assemble import explanation
from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.payoffs import Seen
from device_bench.explain.peaks import peaks
from device_bench.explain.reply import ExplainedReply
from device_bench.explain.roofline import explain
from device_bench.explain.spec import ExplainSpec, PeakFile
from device_bench.explain.step_times import StepTime, step_times
from device_bench.records.explanation import Bandwidth, Explanation, Peaks
from edge.errors import EngineError

PEAKS = Peaks(
    int8_multiply_adds_per_s=1e9,
    float_multiply_adds_per_s=5e8,
    bandwidths=(Bandwidth(working_set_bytes=1000, bytes_per_s=1e9),),
    how={"int8": "file", "float": "file"},
)
ALONE = Seen(threads=1, threads_ns={1: 1000}, empty_ns=1)


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
    return explain(facts, steps, whole_ns=whole_ns, engine="litert:xnnpack", peaks=PEAKS, seen=ALONE)


def test_the_interval_tells_how_sessions_differ() -> None:
    (step,) = step_times([[[90], [100], [110]]])
    half = 4.303 * 10 / np.sqrt(3)  # Student's t for two degrees of freedom
    assert (step.time_ns, step.low_ns, step.high_ns) == (100, round(100 - half), round(100 + half))


def test_the_truth_lies_between_the_states() -> None:
    (step,) = step_times([[[80], [80]], [[120], [120]]])
    assert step == StepTime(time_ns=100, low_ns=80, high_ns=120)


@pytest.mark.slow
def test_the_interval_holds_the_truth_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(1)
    found = [step_times([rng.normal(1e6, 1e4, (5, 1)).tolist()])[0] for _ in range(4000)]
    assert np.mean([step.low_ns <= 1e6 <= step.high_ns for step in found]) == pytest.approx(0.95, abs=0.015)


def test_calls_are_taken_in_turn_each_after_one_untimed_call() -> None:
    seen: list[str] = []
    ticks = iter(range(100))
    calls = [lambda: seen.append("a"), lambda: seen.append("b")]
    times = in_turn(calls, rounds=2, clock=lambda: next(ticks), pause_s=3, sleep=lambda seconds: seen.append("z"))
    assert seen == ["z", "a", "a", "z", "b", "b"] * 2
    assert times == [[1, 1], [1, 1]]


def test_another_call_can_be_the_untimed_one() -> None:
    seen: list[str] = []
    in_turn([lambda: seen.append("a")], untimed=[lambda: seen.append("whole")], rounds=2)
    assert seen == ["whole", "a"] * 2


def test_untimed_calls_go_on_until_the_threads_have_settled() -> None:
    seen: list[str] = []
    ticks = iter(range(100))
    in_turn([lambda: seen.append("a")], rounds=1, clock=lambda: next(ticks), settle_ns=3)
    assert seen == ["a"] * 4


def test_the_roofline_says_what_bounds_an_operator_and_what_it_attains() -> None:
    found = explained([fact("Conv", count=1000), fact("Conv", count=10, depthwise=True)], [2000, 400], 2500)
    dense, depthwise = found.operators
    assert [dense.bound, depthwise.bound] == ["compute", "memory"]
    assert [dense.attainable, depthwise.attainable] == pytest.approx([0.5, 0.25])
    assert found.unexplained_ns == 100


def test_pads_transposes_and_float_operators_are_named_with_their_time() -> None:
    facts = [fact("Pad"), fact("Conv", count=1000), fact("Transpose"), fact("Sigmoid", precision="float32")]
    found = explained(facts, [100, 600, 200, 100], 1000)
    shares = {reason.name: reason.share_time for reason in found.reasons}
    assert {name: shares[name] for name in ("transpose", "pad", "float")} == pytest.approx(
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
    found = explain([fact("Conv", count=1000)], steps, whole_ns=100, engine="litert:xnnpack", peaks=PEAKS, seen=ALONE)
    assert found.operators[0].attainable is None


def test_an_operator_whose_interval_is_wider_than_half_its_time_gets_none_either() -> None:
    steps = [StepTime(time_ns=1000, low_ns=700, high_ns=1300)]
    found = explain([fact("Conv", count=500)], steps, whole_ns=1000, engine="e", peaks=PEAKS, seen=ALONE)
    assert found.operators[0].attainable is None


def test_the_best_rate_seen_is_the_peak_and_noise_raises_none() -> None:
    fast = StepTime(time_ns=400, low_ns=390, high_ns=500)
    lucky = StepTime(time_ns=100, low_ns=50, high_ns=2000)
    facts = [fact("Conv", count=1000), fact("Gemm", count=1000)]
    found = explain(facts, [fast, lucky], whole_ns=500, engine="e", peaks=PEAKS, seen=ALONE)
    assert found.peaks.int8_multiply_adds_per_s == pytest.approx(2e9)
    assert found.peaks.how["int8"].startswith("conv, which is faster")
    assert found.operators[0].attainable == pytest.approx(1.25)


def test_what_fits_into_a_cache_is_held_to_the_caches_bandwidth() -> None:
    small, large = (
        Bandwidth(working_set_bytes=1000, bytes_per_s=4e9),
        Bandwidth(working_set_bytes=9000, bytes_per_s=1e9),
    )
    cached = PEAKS.model_copy(update={"bandwidths": (small, large)})
    facts, steps = [fact("Add", size=1000), fact("Add", size=1001)], [StepTime(time_ns=2000, low_ns=1900, high_ns=2100)]
    found = explain(facts, steps * 2, whole_ns=4000, engine="e", peaks=cached, seen=ALONE)
    assert [operator.attainable for operator in found.operators] == pytest.approx([0.125, 0.5005])


def test_threads_are_judged_by_what_they_were_measured_to_save() -> None:
    seen = Seen(threads=2, threads_ns={1: 1000, 2: 800, 4: 700}, empty_ns=1)
    found = explain(
        [fact("Conv", count=1)],
        [StepTime(time_ns=800, low_ns=800, high_ns=800)],
        whole_ns=800,
        engine="e",
        peaks=PEAKS,
        seen=seen,
    )
    lost = {reason.name: reason.share_time for reason in found.reasons}["threads"]
    assert lost == pytest.approx(1 - 1000 / 1600)
    assert (found.changes[0].sentence, found.changes[0].gain) == ("--threads 4", pytest.approx(1 / 8))


def test_operators_outside_the_delegate_are_named_with_the_parts_they_leave() -> None:
    facts = [replace(fact("Conv", count=10), delegated=True), replace(fact("Gather"), delegated=False)]
    steps = [StepTime(time_ns=500, low_ns=500, high_ns=500)] * 2
    seen = replace(ALONE, partitions=2)
    found = explain(facts, steps, whole_ns=1000, engine="e", peaks=PEAKS, seen=seen)
    (told,) = [reason for reason in found.reasons if reason.name == "delegate"]
    assert told.share_time == 0.5
    assert "Gather" in told.sentence and "2 parts" in told.sentence


def test_a_layer_out_of_proportion_at_either_end_is_a_reason() -> None:
    facts = [fact("Conv", count=10), fact("Conv", count=980), fact("Gemm", count=10)]
    reasons = {reason.name: reason.share_time for reason in explained(facts, [300, 695, 5], 1000).reasons}
    assert reasons["first"] == pytest.approx(0.3)
    assert "last" not in reasons
    reasons = {reason.name: reason.share_time for reason in explained(facts, [10, 981, 14], 1005).reasons}
    assert "last" not in reasons  # half as long again as its share, and that is less than measuring can tell


SPEC = ExplainSpec(
    facts=(fact("Conv", count=10), fact("Add"), fact("Gemm", count=10)),
    peaks={
        "int8": PeakFile(data=b"", multiply_adds=1000, words="a file"),
        "float32": PeakFile(data=b"", multiply_adds=1000, words="a file"),
    },
)


ONE = {
    "parts_ns": None,
    "call_ns": None,
    "again_ns": [[1, 1, 1]],
    "again_call_ns": [1, 1, 1],
    "whole_ns": [1, 1, 1],
    "delegated": [True],
}


def reply(**changes: object) -> ExplainedReply:
    told = {
        "missing": None,
        "method": "measured-operators",
        "passes": [
            [
                {
                    "parts_ns": [[12, 12, 13], [13, 11, 13]],
                    "call_ns": [1, 1, 1],
                    "again_ns": [[10, 10, 10], [11, 11, 11]],
                    "again_call_ns": [1, 1, 1],
                    "whole_ns": [40, 40, 40],
                    "delegated": [True, False],
                },
                {
                    "parts_ns": [[22, 22, 22]],
                    "call_ns": [2, 2, 2],
                    "again_ns": [[22, 22, 22]],
                    "again_call_ns": [2, 2, 2],
                    "whole_ns": [60, 60, 60],
                    "delegated": [True],
                },
            ]
        ]
        * 2,
        "peaks_ns": {"int8": [10, 10, 10]},
        "refused": {"float32": "no float here"},
        "copies": [
            {"bytes": 100, "copies": 2, "threads": 1, "ns": [100, 100, 100]},
            {"bytes": 100, "copies": 2, "threads": 2, "ns": [80, 80, 80]},
            {"bytes": 1000, "copies": 1, "threads": 1, "ns": [200, 200, 200]},
        ],
        "threads_ns": {"1": [50, 50, 50]},
        "empty_ns": 1,
        "delegated": [True, False, True],
        "partitions": 2,
    }
    return ExplainedReply.model_validate_json(json.dumps({**told, **changes}))


def test_an_answer_becomes_an_explanation() -> None:
    found = explanation(SPEC, reply(), engine="litert:xnnpack", threads=1, where="local: m")
    assert [operator.time_ns for operator in found.operators] == [10, 11, 20]
    assert (found.whole_ns, found.unexplained_ns) == (50, 9)
    assert [operator.delegated for operator in found.operators] == [True, False, True]
    assert found.peaks.int8_multiply_adds_per_s == pytest.approx(1000 / 10e-9)
    assert found.peaks.float_multiply_adds_per_s is None
    assert found.peaks.how["float"] == "not measured: no float here"


def test_what_is_computed_within_its_follower_takes_what_both_take_more() -> None:
    spec = replace(SPEC, less=(1, None, None))
    found = explanation(spec, reply(), engine="litert:xnnpack", threads=1, where="local: m")
    assert [operator.time_ns for operator in found.operators] == [-1, 11, 20]


def test_a_smaller_copy_is_never_said_to_be_slower_than_a_larger_one() -> None:
    found = peaks(SPEC.peaks, reply()).bandwidths
    assert [(entry.working_set_bytes, entry.bytes_per_s) for entry in found] == [(200, 1e10), (2000, 1e10)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passes": None}, "no times"),
        ({"passes": [[], []]}, "timed 0 of 3"),
        ({"passes": [[ONE], [ONE]]}, "timed 1 of 3"),
        ({"delegated": [True]}, "1 operators of 3"),
        ({"copies": []}, "no copy"),
        ({"method": "onnxruntime-profile"}, "was asked for"),
    ],
)
def test_an_answer_that_does_not_fit_the_file_is_refused_in_one_line(changes: dict[str, object], said: str) -> None:
    with pytest.raises(EngineError, match=said):
        explanation(SPEC, reply(**changes), engine="litert:xnnpack", threads=1, where="local: m")


@pytest.mark.parametrize(
    "changes", [{"again_call_ns": [1, 1]}, {"call_ns": [1, 1, 1]}, {"delegated": []}, {"again_ns": []}]
)
def test_a_group_whose_rounds_do_not_agree_is_no_answer(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="passes"):
        reply(passes=[[{**ONE, **changes}]] * 2)
