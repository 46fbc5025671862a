"""INT8 networks on an emulated aarch64 machine over a real sshd: every runtime proves itself, no time is a latency."""

import json
from pathlib import Path

import pytest

from device_bench.records.record_lines import read_records
from edge.cli.main import main
from tests.emulated_pi.small_models import SMALL, small_model
from tests.emulated_pi.sshd import Device

ENGINES = ("tflite-runtime", "litert", "onnxruntime")
FEW = [
    "--min-runs=2",
    "--rounds=1",
    "--min-seconds=0",
    "--warmup-runs=1",
    "--warmup-seconds=0",
    "--max-warmup-seconds=0",
]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("networks")
    return [Path(small_model(name, root).folder) for name in SMALL]


def test_every_runtime_proves_itself_there(pi_ssh: Device, networks: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    engines = [word for name in ENGINES for word in ("--engine", name)]
    there = ["--on", pi_ssh.name, "--ssh-config", str(pi_ssh.config)]
    assert main(["bench", *map(str, networks), *engines, *there, *FEW, "-o", str(out)]) == 0
    records = read_records(out)
    assert {(record.measured.name, record.engine.engine) for record in records} == {
        (network.name, engine) for network in networks for engine in ENGINES
    }
    for record in records:
        assert record.selftest is not None and record.selftest.largest <= record.selftest.allowed
        assert record.emulated and record.engine.machine == "aarch64"
        assert record.latency_ns is None and len(record.samples_ns) == 2
        assert "emulated" in {taint.kind for taint in record.taints}
    assert pi_ssh.jobs() == []


def test_there_is_nothing_to_explain_in_emulated_time(pi_ssh: Device, networks: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    there = ["--on", pi_ssh.name, "--ssh-config", str(pi_ssh.config), "--engine", "litert"]
    assert main(["bench", str(networks[0]), *there, *FEW, "--explain", "-o", str(out)]) == 0
    (record,) = read_records(out)
    assert record.explanation is None
    assert record.unexplained is not None and "emulated" in record.unexplained


def test_what_fits_a_device_is_measured_there(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `edge models --fit`, which measures nothing twice; what it lists, `edge bench` finds within the budget."""
    there = ["--on", device.name, "--ssh-config", str(device.config)]
    grid = ["mobilenet_v1", "--width", "0.25", "--classes", "3", "--sizes", "32,64"]
    asked = ["models", "--fit", *grid, "--latency-budget", "60s", "-o", str(tmp_path), *there, "--json"]
    assert main(asked) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["outcome"] for entry in entries] == ["fits", "fits"]
    records = read_records(tmp_path / "records.jsonl")
    assert {record.target.name for record in records} == {device.name} and device.jobs() == []
    assert main(asked) == 0
    assert read_records(tmp_path / "records.jsonl") == records
    folders = [entry["artifact"] for entry in entries]
    assert main(["bench", *folders, *there, *FEW, "-o", str(tmp_path / "again.jsonl")]) == 0
    assert all(max(record.samples_ns) < 60e9 for record in read_records(tmp_path / "again.jsonl"))
