"""This machine as a target: real runs in a process of their own, and every way that such a process can fail."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from device_bench.agent.readers import Readers
from device_bench.bench.bench import bench, measure_job, plan_job
from device_bench.bench.fleet import Order, bench_fleet
from device_bench.jobs.job import Job
from device_bench.records.plan import Plan
from device_bench.records.record_lines import append_records, read_records
from device_bench.targets.agent_process import AgentProcess, SubjectCrashed
from device_bench.targets.in_process import InProcess
from device_bench.targets.local import LocalTarget
from device_bench.targets.target import Progress, TargetOptions, open_target
from device_bench.targets.unopened import Unopened
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.errors import EngineError, UsageError

pytestmark = pytest.mark.unhurried

MakeArtifact = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tiny_file(test_data: Path) -> Path:
    return test_data / "models" / "vww_96_int8.tflite"


@pytest.mark.data
def test_an_official_file_is_measured_bare_in_a_process_of_its_own(tiny_file: Path, quick: Plan) -> None:
    pytest.importorskip("ai_edge_litert", reason="the litert engine is not installed")
    seen: list[tuple[int, int]] = []
    target = LocalTarget()
    found = bench(
        [tiny_file], ["litert", "litert:builtin"], quick, target, command="", progress=lambda *at: seen.append(at)
    )
    assert [(record.engine.kernels, record.measured.precision) for record in found] == [
        ("xnnpack", "int8"),
        ("builtin", "int8"),
    ]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    first, second = found
    assert first.cold.import_ns is not None and second.cold.import_ns is None
    assert first.selftest is None and "untested" in {taint.kind for taint in first.taints}
    peak, before = first.memory.peak_rss_bytes, first.memory.rss_before_bytes
    assert peak is None or (before is not None and before < peak < 1 << 30)
    assert first.target.agent_sha256 is not None


@pytest.mark.data
def test_another_python_measures_without_the_product(tiny_file: Path, quick: Plan, tflite_runtime_python: str) -> None:
    (record,) = bench([tiny_file], [], quick, LocalTarget(tflite_runtime_python), command="")
    assert (record.engine.engine, record.target.name) == ("tflite-runtime", f"local:{tflite_runtime_python}")


@pytest.mark.data
def test_the_command_measures_a_bare_file_and_resumes(
    tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the litert engine is not installed")
    out = tmp_path / "records.jsonl"
    arguments = ["bench", str(tiny_file), "-o", str(out), "--min-runs", "4", "--min-seconds", "0", "--rounds", "2"]
    assert main(arguments) == 0
    once = out.read_text()
    assert main([*arguments, "--resume"]) == 0
    assert out.read_text() == once
    assert "measured before" in capsys.readouterr().err


def test_a_missing_runtime_is_one_line(tmp_path: Path, quick: Plan) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"0000TFL3")
    with pytest.raises(EngineError, match=r"^local: .*model\.tflite: tflite-runtime: needs the package tflite_runtime"):
        bench([path], ["tflite-runtime"], quick, LocalTarget(), command="")


def test_an_unknown_kernel_set_is_the_askers_mistake(tmp_path: Path, quick: Plan) -> None:
    pytest.importorskip("ai_edge_litert", reason="the litert engine is not installed")
    path = tmp_path / "model.tflite"
    path.write_bytes(b"0000TFL3")
    with pytest.raises(UsageError, match="did you mean 'builtin'"):
        bench([path], ["litert:bultin"], quick, LocalTarget(), command="")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import sys; sys.exit(3)", r"x: it ended without an answer \(exit code 3\)"),
        ("import sys; sys.exit('no numpy here')", r"exit code 1\); it said: no numpy here"),
        ("import time; time.sleep(60)", "x: no answer within 1 s"),
        ("print('hello' * 20, flush=True); import time; time.sleep(60)", "a message starts with b'hell'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"exit code -9"),
    ],
)
def test_a_process_that_fails_is_one_line(code: str, problem: str) -> None:
    with (
        AgentProcess([sys.executable, "-c", code], name="x", reply_seconds=1.0) as agent,
        pytest.raises(EngineError, match=problem) as caught,
    ):
        agent.ask({"do": "probe"})
    assert str(caught.value).isprintable()


def test_a_crash_names_the_subject_that_it_came_from() -> None:
    code = "import os, sys; from edge.engines.framing import write_message as tell; "
    code += "tell(sys.stdout.buffer, {'subject': 'abc.tflite'}); os.abort()"
    with AgentProcess([sys.executable, "-c", code], name="x") as agent, pytest.raises(SubjectCrashed) as caught:
        agent.ask({"do": "probe"})
    assert str(caught.value) == "x: abc.tflite: it ended without an answer (exit code -6)"
    assert caught.value.file == "abc.tflite"


def test_a_subject_that_ends_the_process_is_left_out_and_the_others_are_measured(
    tmp_path: Path, quick: Plan, opener: Any, readers: Readers
) -> None:
    class Crashing(InProcess):
        def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
            for subject in job.subjects:
                if subject.measured.name == "bad":
                    raise SubjectCrashed(f"local: {subject.file_name}: it ended without an answer", subject.file_name)
            return super().run(job, progress)

    paths = [tmp_path / "good.tflite", tmp_path / "bad.tflite"]
    for path in paths:
        path.write_bytes(path.stem.encode())
    target = Crashing(opener=opener, readers=readers)
    found = measure_job(plan_job(paths, ["litert"], quick, target), target, "")
    assert [record.measured.name for record in found.records] == ["good"]
    assert [str(error) for error in found.errors] == [f"local: {paths[1]}: it ended without an answer"]
    with pytest.raises(EngineError, match=r"bad\.tflite: it ended"):
        bench([paths[1]], ["litert"], quick, target, command="")


def test_a_late_answer_leaves_no_file(
    make_artifact: MakeArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    plan = Plan(min_duration_ns=10**12, max_runs=10**9)
    with pytest.raises(EngineError, match="no answer within 3 s"):
        bench([open_artifact(make_artifact())], ["null"], plan, LocalTarget(reply_seconds=3.0), command="")
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_measures_ends_soon_after_the_command(
    end: signal.Signals, make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """Ten minutes are asked for; the command alone is ended."""
    kept = tmp_path / "temporary"
    kept.mkdir()
    words = ["bench", str(make_artifact()), "--engine", "null", "--min-seconds", "600", "--max-runs", "1000000000"]
    code = "from edge.__main__ import run; run()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(kept)}
    command = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL, env=environment)
    assert soon(lambda: bool(list(kept.rglob("*.npz"))), 30)
    (measuring,) = [int(pid) for pid, parent in processes() if int(parent) == command.pid]
    command.send_signal(end)
    command.wait(timeout=30)
    assert soon(lambda: measuring not in {int(pid) for pid, _ in processes()}, 3)
    assert list(kept.rglob("*.npz")) == []


def soon(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it holds within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("everyone", [False, True])
def test_an_interrupt_is_one_line_and_leaves_no_process_and_no_file(
    everyone: bool, make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """Ten minutes are asked for; the signal reaches the command, or, as from a terminal, what measures too."""
    folder, kept = str(make_artifact()), tmp_path / "temporary"
    kept.mkdir()
    words = ["bench", folder, "--engine", "null", "--min-seconds", "600", "--max-runs", "1000000000"]
    words += ["-o", str(tmp_path / "records.jsonl")]
    code = "from edge.__main__ import run; run()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(kept)}
    command = subprocess.Popen(
        [sys.executable, "-c", code, *words], stderr=subprocess.PIPE, env=environment, text=True, start_new_session=True
    )
    for _ in range(600):
        if list(kept.rglob("*.npz")):  # what the process that measures was given
            break
        time.sleep(0.05)
    (measuring,) = [int(pid) for pid, parent in processes() if int(parent) == command.pid]
    (os.killpg if everyone else os.kill)(command.pid, signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert (command.returncode, said.splitlines()) == (130, ["edge bench: interrupted"])
    assert measuring not in {int(pid) for pid, _ in processes()}
    assert list(kept.iterdir()) == [] and not (tmp_path / "records.jsonl").exists()


def processes() -> list[list[str]]:
    """Of every process on this machine: its id and its parent's."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_a_target_that_cannot_be_opened_does_not_stop_the_others(
    make_artifact: MakeArtifact, quick: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 1, and the records of the others: here a userland that was never built."""
    out = tmp_path / "records.jsonl"
    options = TargetOptions(userland=tmp_path / "userland")
    with pytest.raises(EngineError, match="holds no userland") as caught:
        open_target("emulated-arm64", options)
    there = Unopened("emulated-arm64", caught.value)
    outcomes = bench_fleet(
        [there, InProcess()],
        Order(opened=[open_artifact(make_artifact())], engines=["null"], plan=quick, command=""),
        done=lambda records: append_records(out, records),
        progress=lambda target: None,
    )
    assert str(outcomes[0].errors[0]) == str(caught.value) and len(read_records(out)) == len(outcomes[1].records) == 1
    assert main(["probe", "--on", "emulated-arm64", "--userland", str(tmp_path / "userland")]) == 1
    assert capsys.readouterr().err == f"edge probe: {caught.value}\n"


def test_a_target_that_is_none_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="unknown target 'locale'; did you mean 'local'"):
        open_target("locale", TargetOptions())
    with pytest.raises(UsageError, match="no such interpreter"):
        open_target("local", TargetOptions(python="/nowhere/python3"))
    with pytest.raises(UsageError, match="belong to emulated-arm64"):
        open_target("local", TargetOptions(cpu="cortex-a76"))
