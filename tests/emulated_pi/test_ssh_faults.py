"""Faults of a device over SSH, injected for real: each is one clear line or is survived, and leaves nothing half."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from device_bench.bench.bench import bench
from device_bench.bench.fleet import Order, bench_fleet
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.targets.ssh import SshTarget
from device_bench.targets.ssh_client import parse_address
from device_bench.targets.ssh_prepare import prepare_ssh, remove_ssh
from device_bench.targets.target import TargetOptions
from edge.artifact.manifest import open_artifact
from edge.errors import EngineError
from tests.emulated_pi.sshd import Device, know

MakeArtifact = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]
QUICK = Plan(rounds=2, warmup_runs=1, warmup_duration_ns=0, min_runs=4, min_duration_ns=0, max_runs=4)
SECOND_NS = 1_000_000_000


def lasting(seconds: float) -> Plan:
    """A plan that keeps the null engine busy for so long, with samples that stay few."""
    return Plan(
        scenario="offline",
        samples=20_000,
        rounds=20,
        warmup_runs=1,
        warmup_duration_ns=0,
        min_runs=1,
        min_duration_ns=round(seconds * SECOND_NS),
        max_runs=10**6,
    )


def target(device: Device, **options: Any) -> SshTarget:
    return SshTarget(parse_address(device.name, device.config), **{"reconnect_seconds": 20.0, **options})


def measure(folder: Path, plan: Plan, there: SshTarget) -> list[Record]:
    try:
        return bench([open_artifact(folder)], ["null"], plan, there, command="edge bench")
    finally:
        there.close()


def refusal(folder: Path, device: Device, plan: Plan = QUICK, **options: Any) -> str:
    with pytest.raises(EngineError) as caught:
        measure(folder, plan, target(device, **options))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(device.name)
    return str(caught.value)


def until(holds: Callable[[], object]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def runner(device: Device) -> int:
    """The process that measures, once it does."""
    until(lambda: any((job / "pid").is_file() and (job / "pid").read_text() for job in device.jobs()))
    return int((device.jobs()[0] / "pid").read_text())


def leftovers(device: Device) -> list[Path]:
    return [*device.jobs(), *(path for path in device.root.rglob(".*"))]


@pytest.fixture
def tiny(make_artifact: MakeArtifact) -> Path:
    return make_artifact()


def test_a_second_job_sends_nothing_that_lies_there(device: Device, tiny: Path) -> None:
    first = measure(tiny, QUICK, target(device))
    assert first[0].target.kind == "ssh" and first[0].target.agent_sha256 is not None
    sent = {path: path.stat().st_mtime_ns for path in device.root.rglob("*.*")}
    assert len(list(device.root.glob("agent-*"))) == 1 and any(path.suffix == ".npz" for path in sent)
    measure(tiny, QUICK, target(device))
    assert {path: path.stat().st_mtime_ns for path in device.root.rglob("*.*")} == sent
    assert leftovers(device) == []


def test_a_damaged_file_there_is_noticed_and_sent_again(device: Device, tiny: Path) -> None:
    measure(tiny, QUICK, target(device))
    held = next((device.root / "files").glob("*.npz"))
    content = held.read_bytes()
    held.write_bytes(content[:-1] + b"?")
    measure(tiny, QUICK, target(device))
    assert held.read_bytes() == content


def test_a_cut_connection_is_made_again_and_the_same_process_answers(device: Device, tiny: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(measure, tiny, lasting(4), target(device))
        pid = runner(device)
        assert device.cut() >= 1
        os.kill(pid, 0)  # it lives on
        time.sleep(0.5)
        assert runner(device) == pid
        records = measuring.result()
    assert sum(records[0].samples_ns) >= 3 * SECOND_NS and leftovers(device) == []


def test_a_device_that_stays_away_is_one_line_and_resume_collects_its_job(device: Device, tiny: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(refusal, tiny, device, lasting(3), reconnect_seconds=0.5)
        runner(device)
        device.stop()
        assert "call again with --resume" in measuring.result()
    until(lambda: any((job / "answer.json").is_file() for job in device.jobs()))
    reply = json.loads((device.jobs()[0] / "answer.json").read_bytes())
    device.restart()
    records = measure(tiny, lasting(3), target(device, resume=True))
    assert list(records[0].samples_ns) == reply["subjects"][0]["samples_ns"] and leftovers(device) == []


def test_a_changed_and_an_unknown_host_key_are_refused_before_anything_is_sent(device: Device, tiny: Path) -> None:
    know(device, "other")
    assert "host key changed" in refusal(tiny, device)
    device.known_hosts.write_text("")
    told = refusal(tiny, device)
    assert "unknown host" in told and "ssh-keygen -lf" in told
    assert not device.root.exists()


def test_a_refused_key_says_how_to_put_it_there(device: Device, tiny: Path) -> None:
    (device.folder / "authorized_keys").write_text((device.folder / "other.pub").read_text())
    assert "ssh-copy-id" in refusal(tiny, device)


def test_a_python_that_is_missing_old_or_without_numpy_is_named(device: Device, tiny: Path) -> None:
    assert "no such Python" in refusal(tiny, device, python="python9")
    old, bare = device.folder / "old", device.folder / "bare"
    swap = "import sys; sys.version_info, sys.version = (3, 9, 1), '3.9.1'; sys.argv = sys.argv[2:]; exec(sys.argv[0])"
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{swap}" "$@"\n')
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    for script in (old, bare):
        script.chmod(0o755)
    assert "Python 3.10 or newer is needed, this is 3.9.1" in refusal(tiny, device, python=str(old))
    told = refusal(tiny, device, python=str(bare))
    assert "numpy is missing" in told and "--prepare" in told


def test_a_missing_runtime_is_named_before_anything_is_sent(pi_without_runtimes: Device, tiny: Path) -> None:
    there = target(pi_without_runtimes)
    with pytest.raises(EngineError, match=r"litert is not installed there .* --prepare"):
        bench([open_artifact(tiny)], ["litert"], QUICK, there, command="edge bench")
    there.close()
    assert not (pi_without_runtimes.root / "files").exists()


def test_a_disk_full_while_copying_leaves_no_part_of_the_file(device: Device, make_artifact: MakeArtifact) -> None:
    measure(make_artifact("small"), QUICK, target(device))
    device.faults.write_text("ulimit -f 64\n")
    before = sorted(device.root.rglob("*"))
    told = refusal(make_artifact("large", size_hw=(256, 256)), device)
    assert "disk is full" in told and "--remove-agent" in told
    assert sorted(device.root.rglob("*")) == before


def test_a_disk_full_while_writing_the_answer_leaves_no_part_of_it(device: Device, tiny: Path) -> None:
    measure(tiny, QUICK, target(device))
    device.faults.write_text("ulimit -f 16\n")
    told = refusal(tiny, device, QUICK.model_copy(update={"min_runs": 4000, "max_runs": 4000}))
    assert "disk is full" in told and "answer.json" in told and leftovers(device) == []


def test_a_killed_process_is_named_with_its_signal(device: Device, tiny: Path) -> None:
    for number, told in ((signal.SIGKILL, "SIGKILL.*out of memory"), (signal.SIGSEGV, "SIGSEGV")):
        with ThreadPoolExecutor(1) as pool:
            measuring = pool.submit(measure, tiny, lasting(20), target(device))
            os.kill(runner(device), number)
            with pytest.raises(EngineError, match=told):
                measuring.result()
        assert leftovers(device) == []


def test_a_timeout_stops_the_job_on_the_device(device: Device, tiny: Path) -> None:
    begun_s = time.monotonic()
    assert "stopped after 1.5 s" in refusal(tiny, device, lasting(30), timeout_s=1.5)
    assert time.monotonic() - begun_s < 15 and leftovers(device) == []


def test_there_are_never_two_jobs_on_one_device(device: Device, tiny: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(measure, tiny, lasting(4), target(device))
        runner(device)
        told = refusal(tiny, device, QUICK)
        assert "the device is taken by job" in told and "since 20" in told
        with pytest.raises(EngineError, match="a job runs there"):
            remove_ssh(device.name, TargetOptions(ssh_config=device.config))
        assert len(measuring.result()) == 1


def test_a_wall_clock_that_jumps_changes_no_time(device: Device, tiny: Path) -> None:
    site = device.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import time\nstart, real = time.monotonic(), time.time\n"
        "time.time = lambda: real() + (86400 if time.monotonic() - start > 0.7 else 0)\n"
    )
    device.faults.write_text(f'export PYTHONPATH="{site}"\n')
    records = measure(tiny, lasting(2), target(device))
    assert all(0 < sample < 60 * SECOND_NS for sample in records[0].samples_ns)


def test_all_that_was_put_there_is_removed_and_named(device: Device, tiny: Path) -> None:
    measure(tiny, QUICK, target(device))
    (device.root / "agent-0123456789abcdef").mkdir()
    (device.root / "of_somebody_else").write_text("stays")
    there = target(device)
    assert "agent-0123456789abcdef" in there.probe()["agents"]
    there.close()
    options = TargetOptions(ssh_config=device.config)
    told = remove_ssh(device.name, options)
    assert "agent-0123456789abcdef" in told and "files" in told and "bytes" in told
    assert [path.name for path in device.root.iterdir()] == ["of_somebody_else"]
    assert "nothing of ours" in remove_ssh(device.name, options)


def test_preparing_without_venv_says_what_to_install(pi_without_runtimes: Device) -> None:
    with pytest.raises(EngineError, match="sudo apt install python3-venv"):
        prepare_ssh(pi_without_runtimes.name, TargetOptions(ssh_config=pi_without_runtimes.config))


def test_two_devices_measure_at_the_same_time(devices: Callable[[str], Device], tiny: Path) -> None:
    pair = [devices(sys.executable), devices(sys.executable)]
    order = Order(opened=[open_artifact(tiny)], engines=["null"], plan=lasting(3), command="edge bench")
    busy: list[bool] = []

    def watch() -> None:
        for each in pair:
            runner(each)
        busy.append(all(each.jobs() for each in pair))

    watcher = threading.Thread(target=watch)
    watcher.start()
    written: list[Record] = []
    outcomes = bench_fleet([target(each) for each in pair], order, done=written.extend, progress=lambda there: None)
    watcher.join()
    assert busy == [True] and [outcome.errors for outcome in outcomes] == [(), ()]
    assert {record.target.name for record in written} == {each.name for each in pair}


def test_an_interrupted_job_is_ended_there_and_leaves_nothing(device: Device, tiny: Path) -> None:
    there = target(device)
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(measure, tiny, lasting(60), there)
        pid = runner(device)
        there.stop()
        with pytest.raises(EngineError, match=r"interrupted|SIGTERM"):
            measuring.result(timeout=30)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert leftovers(device) == []


def test_control_c_in_a_terminal_reaches_the_connection_too_and_is_one_line(
    device: Device, tiny: Path, tmp_path: Path
) -> None:
    """Every process of the terminal is interrupted, ssh among them; by another connection the job is ended."""
    words = ["bench", str(tiny), "--on", device.name, "--ssh-config", str(device.config), "--engine", "null"]
    words += ["--min-seconds", "600", "--max-runs", "1000000000", "-o", str(tmp_path / "records.jsonl")]
    command = subprocess.Popen(
        [sys.executable, "-c", "from edge.__main__ import run; run()", *words],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        start_new_session=True,
    )
    pid = runner(device)
    os.killpg(command.pid, signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert (command.returncode, said.splitlines()) == (130, ["edge bench: interrupted"])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert leftovers(device) == [] and not (tmp_path / "records.jsonl").exists()


def test_an_interrupt_that_cannot_reach_the_device_says_that_the_job_goes_on(device: Device, tiny: Path) -> None:
    there = target(device)
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(measure, tiny, lasting(4), there)
        pid = runner(device)
        device.stop()
        with pytest.raises(EngineError, match="the job goes on there: call again with --resume"):
            there.stop()
        with pytest.raises(EngineError, match="interrupted"):
            measuring.result(timeout=30)
    os.kill(pid, 0)
    until(lambda: any((job / "answer.json").is_file() for job in device.jobs()))
