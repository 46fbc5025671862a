"""A GPU in a record: its state casts doubt on a measurement, its copies stand beside the latency."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from device_bench.agent.readers import Readers
from device_bench.bench.bench import bench
from device_bench.records.machine import read_machine
from device_bench.records.machine_state import GpuState, MachineState, read_state
from device_bench.records.plan import Plan
from device_bench.records.record import Record, record_line
from device_bench.records.taints import taints
from device_bench.report.table import latency_table
from device_bench.targets.in_process import InProcess
from edge.artifact.manifest import open_artifact
from edge.engines.engine import DeviceTimes, EngineInfo, Session
from edge.engines.null_session import NullSession
from edge.engines.nvidia_smi import parse_gpus
from edge.port import Port
from edge.terminal import show_wide

PLAN = Plan(rounds=2, warmup_runs=1, warmup_duration_ns=0, min_runs=4, min_duration_ns=0)
T4 = "0, Tesla T4, 535.183.01, P0, 1005, 5000, 1590, 84, 69.90, 70.00, 97, {}\n"


def state_with(reasons: str) -> MachineState:
    """This machine with a GPU that gives these reasons."""
    (gpu,) = parse_gpus(T4.format(reasons))
    return read_state().model_copy(update={"gpus": (GpuState(**asdict(gpu)),)})


def test_a_gpu_that_is_held_down_is_a_taint() -> None:
    machine, quiet, hot = read_machine(), state_with("0x0000000000000001"), state_with("0x0000000000000020")
    sentence = "GPU 0 (Tesla T4) is throttled: software thermal slowdown"
    still = taints(machine, [quiet, quiet], threads=1, emulated=None, self_tested=True)
    assert not any("GPU" in taint.sentence for taint in still)
    found = taints(machine, [quiet, hot], threads=1, emulated=None, self_tested=True)
    assert [taint.kind for taint in found if taint.sentence == sentence] == ["throttled"]


def test_a_state_with_a_gpu_survives_the_way() -> None:
    state = state_with("0x0000000000000001")
    assert MachineState.model_validate_json(state.model_dump_json()) == state


class GpuSession(NullSession):
    """A GPU in memory: 2 ms there, 3 ms of work, 1 ms back."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, engine="litert", kernels="cuda", device="Tesla T4", precision="float16")

    def run_timed(self, inputs: Sequence[Any]) -> DeviceTimes:
        return DeviceTimes(to_device_ns=2_000_000, compute_ns=3_000_000, to_host_ns=1_000_000)


def on_gpu(engine: str, path: Path, *, threads: int, kernels: str | None) -> Session:
    """Opens the artifacts of `make_artifact`."""
    given = (Port(name="image", shape=(1, 8, 8, 3), dtype="int8", scale=1 / 255, zero_point=-128),)
    return GpuSession(
        inputs=given,
        outputs=(Port(name="output0", shape=(1, 3), dtype="int8", scale=1 / 256, zero_point=-128),),
        threads=threads,
    )


@pytest.mark.unhurried
def test_copies_stand_apart_from_the_latency(
    make_artifact: Callable[..., Path], readers: Readers, capsys: pytest.CaptureFixture[str]
) -> None:
    target = InProcess(opener=on_gpu, readers=readers)
    (record,) = bench([open_artifact(make_artifact())], ["litert"], PLAN, target, command="edge bench tiny")
    assert set(record.samples_ns) == {3_000_000} and record.transfers is not None
    assert set(record.transfers.to_device_ns) == {2_000_000} and set(record.transfers.to_host_ns) == {1_000_000}
    assert (record.engine.device, record.engine.precision) == ("Tesla T4", "float16")
    assert Record.model_validate_json(record_line(record)) == record
    table = latency_table([record])
    show_wide(table)
    assert capsys.readouterr().out.splitlines()[0].split()[-3:] == ["there", "back", "state"]
    copies = [next(iter(column.cells)) for column in table.columns[-3:-1]]
    assert [str(cell).lstrip("~") for cell in copies] == ["2.00", "1.00"]
