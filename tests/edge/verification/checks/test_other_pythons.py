"""Verification in other interpreters: another environment, and an emulated aarch64 machine."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.artifact.manifest import Artifact, open_artifact
from edge.cli.main import main
from edge.errors import EngineError, UsageError
from edge.verification.checks.runtimes import RuntimeChoice
from edge.verification.record import record
from edge.verification.verify import Report, Request, verify

pytestmark = pytest.mark.unhurried  # other interpreters are started

Make = Callable[[str, str], Artifact]


def ran(report: Report) -> dict[str, dict[str, object]]:
    """End-to-end findings by runtime."""
    return {f.data["runtime"]: f.data for f in report.verdict.findings if f.check == "end to end"}


def test_every_kernel_set_at_hand_is_compared_and_recorded(make: Make, tmp_path: Path) -> None:
    import shutil

    artifact = open_artifact(shutil.copytree(make("classify", "int8").folder, tmp_path / "copy"))
    report = verify(artifact, Request(runtimes=RuntimeChoice(all_kernels=True, engines=("litert",)), bounds=True))
    kernels = {name: data["kernels"] for name, data in ran(report).items()}
    assert kernels == {
        "model.tflite in litert": "xnnpack",
        "model.tflite in litert builtin": "builtin",
        "model.tflite in litert reference": "reference",
    }
    record(artifact, report)
    manifest = open_artifact(artifact.folder).manifest  # every hash still holds
    allowed = manifest.selftest.allowed["model.tflite"]
    assert allowed["litert/xnnpack/x86_64"] == 0.0
    for entry in manifest.fidelity:
        assert allowed[f"{entry.engine}/{entry.kernels}/{entry.machine}"] >= entry.largest_quanta


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_another_interpreter_is_compared_beside_this_one(make: Make, precision: str) -> None:
    report = verify(make("segment", precision), Request(runtimes=RuntimeChoice(pythons=(sys.executable,)), samples=1))
    there = f"model.tflite in litert of {sys.executable}"
    assert report.verdict.ship and {there, "model.tflite in litert"} <= set(ran(report))
    if precision == "int8":
        assert ran(report)[there]["differing"] == 0 and report.operators[there]


def test_an_interpreter_without_the_engine_is_refused(make: Make) -> None:
    choice = RuntimeChoice(engines=("tflite-runtime",), pythons=(sys.executable,))
    with pytest.raises(EngineError, match="has none of tflite-runtime"):
        verify(make("classify", "int8"), Request(runtimes=choice))
    with pytest.raises(UsageError, match="named twice"):
        verify(make("classify", "int8"), Request(runtimes=RuntimeChoice(pythons=(sys.executable,) * 2)))


@pytest.mark.parametrize(("arguments", "told"), [(["--python", "no/python"], "no such interpreter")])
def test_the_command_line_refuses_in_one_line(
    make: Make, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(make("classify", "int8").folder), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert told in error and "\n" not in error


def test_all_kernels_and_one_kernel_set_exclude_each_other(make: Make) -> None:
    with pytest.raises(UsageError, match="--all-kernels takes every"):
        verify(make("classify", "int8"), Request(runtimes=RuntimeChoice(all_kernels=True, kernels="builtin")))


def test_tflite_runtime_runs_in_an_environment_of_its_own(
    make: Make, tflite_runtime_python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(make("classify", "int8").folder)
    assert main(["verify", folder, "--engine", "tflite-runtime", "--python", tflite_runtime_python, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (found,) = [row for row in rows if row.get("check") == "end to end"]
    assert (found["kernels"], found["version"], found["delegated_operators"]) == ("builtin", "2.14.0", 0)


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_arm_kernels_compute_the_simulation(make: Make, task: str, emulated_pi: str) -> None:
    """LiteRT's XNNPACK and ONNX Runtime of aarch64 are bit-exact, and the report says that the machine is emulated."""
    choice = RuntimeChoice(pythons=(emulated_pi,))
    report = verify(make(task, "int8"), Request(runtimes=choice, samples=1, operator_samples=1, bounds=True))
    found = {name: data for name, data in ran(report).items() if data["machine"] == "aarch64"}
    assert {data["emulated"] for data in found.values()} == {"qemu-aarch64"}
    litert = found["model.tflite in litert on aarch64 (qemu-aarch64)"]
    assert litert["kernels"] == "xnnpack" and litert["delegated_operators"] and litert["differing"] == 0
    assert found["model.onnx in onnxruntime on aarch64 (qemu-aarch64)"]["differing"] == 0
    assert found["model.tflite in tflite-runtime on aarch64 (qemu-aarch64)"]["kernels"] == "builtin"
    assert report.bounds["model.tflite"]["litert/xnnpack/aarch64"] == 0.0
    assert report.verdict.ship
