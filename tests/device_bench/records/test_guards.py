"""Guards whose loss nothing else would show: hashes of files sent, emulated time, and the limits that the docs name."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from device_bench.agent.serve import keep_file
from device_bench.records import taints
from device_bench.records.explanation import Bandwidth, ExplainedOperator, Explanation, Peaks
from device_bench.records.plan import Plan
from device_bench.records.record import Record, rederived, throughput
from edge.errors import EngineError
from tests.benchmarks import fleet

CONV = ExplainedOperator(
    names=("conv",),
    kind="Conv",
    precision="int8",
    multiply_adds=1,
    bytes=1,
    time_ns=10,
    low_ns=9,
    high_ns=11,
    share_time=1.0,
    share_multiply_adds=1.0,
    intensity=1.0,
    bound=None,
    attainable=None,
)
EXPLANATION = Explanation(
    method="measured-operators",
    engine="litert:xnnpack",
    threads=1,
    whole_ns=10,
    operators=(CONV,),
    unexplained_ns=0,
    peaks=Peaks(
        int8_multiply_adds_per_s=None,
        float_multiply_adds_per_s=None,
        bandwidths=(Bandwidth(working_set_bytes=1, bytes_per_s=1.0),),
        how={},
    ),
    reasons=(),
    changes=(),
)


def test_a_file_that_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    name = f"{hashlib.sha256(b'model').hexdigest()}.tflite"
    with pytest.raises(EngineError, match="arrived damaged"):
        keep_file(tmp_path, name, b"modeL")
    assert list(tmp_path.iterdir()) == []
    keep_file(tmp_path, name, b"model")
    assert (tmp_path / name).read_bytes() == b"model"


def test_emulated_time_is_no_throughput() -> None:
    plan = Plan(scenario="offline", samples=4)
    assert throughput([1_000_000], plan, emulated=False) == pytest.approx(4000)
    assert throughput([1_000_000], plan, emulated=True) is None


def record(**changes: object) -> Record:
    plain = fleet.record(0, np.random.default_rng(0))
    machine = plain.machine.model_copy(update={"emulation": changes.pop("emulation", None)})
    plan = plain.plan.model_copy(update={"explain": True})
    return rederived(plain.model_copy(update={"machine": machine, "plan": plan, "end_to_end": None, **changes}))


def held(one: Record) -> Record:
    return Record.model_validate_json(one.model_dump_json())


def test_emulated_time_is_never_explained() -> None:
    assert held(record(explanation=EXPLANATION)).explanation == EXPLANATION
    with pytest.raises(ValidationError, match="emulated machine's time is explained"):
        held(record(explanation=EXPLANATION, emulation="qemu-aarch64"))


@pytest.mark.parametrize("changes", [{}, {"explanation": EXPLANATION, "unexplained": "both"}])
def test_a_record_is_explained_or_says_why_not(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"plan\.explain"):
        held(record(**changes))


def test_the_limits_of_taints_are_those_of_the_docs() -> None:
    """docs/bench.md and docs/machine_state.md: 80 degrees, 10 % of the clock and of the processors' time, 0.1 s."""
    assert (taints.HOT_MILLICELSIUS, taints.CLOCK_CHANGE_PERCENT, taints.OTHERS_PERCENT) == (80_000, 10, 10)
    assert taints.WALL_CLOCK_JUMP_NS == 100_000_000
