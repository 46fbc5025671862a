"""An Android device: the real adb program drives a scripted server; the published tool's print is read strictly."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from device_bench.bench.bench import bench
from device_bench.records.plan import Plan
from device_bench.records.record import parse_records, record_line
from device_bench.report.table import latency_table
from device_bench.targets.adb import AdbTarget, open_adb, remove_adb
from device_bench.targets.adb_client import choose_device
from device_bench.targets.android_facts import android_state
from device_bench.targets.benchmark_model import parse
from device_bench.targets.target import TargetOptions
from edge.cli.latency import from_record
from edge.cli.probe import check_probe
from edge.errors import EngineError, UsageError
from tests.device_bench.targets.adb_server import Device, Server, serving

pytestmark = pytest.mark.unhurried  # adb is started

SERIAL = "R58N123"
PRINTED = """STARTING!
Initialized session in 20.283ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=2 first=339304 curr=266325 min=266325 max=339304 avg=302814 std=36489

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=266601 curr=266931 min=265837 max=268116 avg=266473 std=419

Inference timings in us: Init: 20283, First inference: 339304, Warmup (avg): 302814, Inference (avg): 266473
"""
BINARY = f"#!/bin/sh\ncat <<'END'\n{PRINTED}END\n"
GETPROP = """case "$1" in ro.product.cpu.abi) echo arm64-v8a;; ro.product.model) echo Pixel;;
ro.build.version.release) echo 14;; esac"""
DUMPSYS = """case "$1" in battery) echo '  AC powered: true'; echo '  status: 2'; echo '  level: 81';;
power) echo '  mWakefulness=Awake';;
thermalservice) echo 'Thermal Status: 2';; esac"""


def device(folder: Path, **fields: object) -> Device:
    for name, script in (("getprop", GETPROP), ("dumpsys", DUMPSYS)):
        program = folder / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    made = Device(folder=folder)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def adb() -> str:
    program = shutil.which("adb")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("adb is not installed, and CI must have it: Debian's package adb")
        pytest.skip("adb is not installed")
    return program


@pytest.fixture
def phone(tmp_path: Path) -> Device:
    return device(tmp_path / "phone")


@pytest.fixture
def server(adb: str, phone: Device) -> Iterator[Server]:
    with serving({SERIAL: phone}) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A stand-in for the binary, which prints what the real one does, and a model file."""
    binary, model = tmp_path / "benchmark_model", tmp_path / "small.tflite"
    binary.write_text(BINARY)
    model.write_bytes(b"a model")
    return binary, model


def target(server: Server, binary: Path, name: str = "adb") -> AdbTarget:
    return open_adb(name, TargetOptions(benchmark_binary=binary), server.environment)


def test_a_record_carries_averages_and_no_percentile(
    server: Server, phone: Device, files: tuple[Path, Path], quick: Plan
) -> None:
    opened = target(server, files[0])
    plan = quick.model_copy(update={"affinity": (4, 5), "threads": 2})
    phone_path = phone.folder / "bin" / "taskset"
    phone_path.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    phone_path.chmod(0o755)
    (record,) = bench([files[1]], [], plan, opened, command="")
    assert record.target.name == f"adb:{SERIAL}"
    assert (record.samples_ns, record.latency_ns, record.runs, record.mean_ns) == ((), None, 100, 266_473_000)
    assert record.aggregates is not None
    assert {(entry.min_ns, entry.max_ns, entry.std_ns) for entry in record.aggregates} == {
        (265_837_000, 268_116_000, 419_000)
    }
    assert (record.cold.load_ns, record.cold.first_inference_ns) == (20_283_000, 339_304_000)
    assert (record.before.battery_percent, record.before.charging, record.before.screen_on) == (81, True, True)
    assert {"untested", "throttled", "power"} <= {taint.kind for taint in record.taints}
    assert "warm-up" not in {taint.kind for taint in record.taints}, "the tool does not say whether it settled"
    assert parse_records(record_line(record), "x") == [record]
    assert list(latency_table([record]).columns[4].cells) == ["mean ~266.5"]
    (command, *_) = [command for command in phone.commands if "--graph" in command]
    for words in (
        "taskset 30 ",
        "--num_threads=2",
        "--use_xnnpack=true",
        "--num_runs=2",
        "--enable_op_profiling=false",
    ):
        assert words in command


def test_averages_are_not_taken_for_percentiles_elsewhere(
    server: Server, files: tuple[Path, Path], quick: Plan
) -> None:
    (record,) = bench([files[1]], ["litert:builtin"], quick, target(server, files[0]), command="")
    with pytest.raises(UsageError, match="averages only"):
        from_record(record)


def test_what_lies_on_the_device_is_not_pushed_again_until_it_is_removed(
    server: Server, phone: Device, files: tuple[Path, Path], quick: Plan
) -> None:
    for _ in range(2):
        bench([files[1]], [], quick, target(server, files[0]), command="")
    assert len(phone.pushed) == 2
    assert remove_adb("adb", TargetOptions(), server.environment).startswith(f"adb:{SERIAL}")
    assert not (phone.folder / "data/local/tmp/edge-deploy").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"full": True}, "No space left"),
        ({"lost_at": "--graph"}, "adb:R58N123: "),
        ({"state": "unauthorized"}, "not authorized"),
        ({"state": "offline"}, "is offline"),
    ],
)
def test_what_goes_wrong_is_one_line_and_no_record(
    adb: str, tmp_path: Path, files: tuple[Path, Path], quick: Plan, fields: dict[str, object], message: str
) -> None:
    held = device(tmp_path / "other", **fields)
    with serving({SERIAL: held}) as running, pytest.raises(EngineError, match=message) as caught:
        bench([files[1]], [], quick, target(running, files[0]), command="")
    assert "\n" not in str(caught.value)
    assert not list(held.folder.rglob("*.part"))


def test_a_silent_device_is_given_up(server: Server, phone: Device, files: tuple[Path, Path], quick: Plan) -> None:
    files[0].write_text("#!/bin/sh\nexec sleep 60\n")
    options = TargetOptions(benchmark_binary=files[0], timeout_s=1)
    with pytest.raises(EngineError, match="exit code 124"):  # the device's own `timeout` ends the program there
        bench([files[1]], [], quick, open_adb("adb", options, server.environment), command="")


def test_an_interrupt_ends_the_binary_on_the_device(
    server: Server, phone: Device, files: tuple[Path, Path], quick: Plan
) -> None:
    files[0].write_text(f"#!/bin/sh\n# {phone.folder}\ntouch {phone.folder}/started\nsleep 60\n")
    opened = target(server, files[0])
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(bench, [files[1]], [], quick, opened, command="")
        for _ in range(600):
            if (phone.folder / "started").exists():
                break
            time.sleep(0.05)
        opened.stop()
        with pytest.raises(EngineError, match=SERIAL):
            measuring.result(timeout=30)
    running = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    assert f"{phone.folder}/data/local/tmp/edge-deploy" not in running


def test_the_device_must_be_named_when_there_are_several(adb: str, phone: Device) -> None:
    with serving({}) as running, pytest.raises(EngineError, match="no device is connected"):
        choose_device(adb, None, running.environment)
    with serving({"a": phone, "b": phone}) as running:
        with pytest.raises(EngineError, match=r"several devices .*a, b.* --on adb:a"):
            choose_device(adb, None, running.environment)
        with pytest.raises(EngineError, match="adb:c: no such device"):
            choose_device(adb, "c", running.environment)
        assert choose_device(adb, "b", running.environment) == "b"


def test_the_binary_must_be_given_and_be_for_the_device(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="benchmark_model, which the TensorFlow project publishes"):
        open_adb("adb", TargetOptions())
    other = tmp_path / "x86"
    other.write_bytes(b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little"))
    with pytest.raises(UsageError, match="another processor"):
        open_adb("adb", TargetOptions(benchmark_binary=other))


def test_a_device_is_probed_without_the_binary(server: Server) -> None:
    opened = open_adb("adb", TargetOptions(measures=False), server.environment)
    assert check_probe(opened, opened.probe()).state.battery_percent == 81


def test_newer_builds_percentiles_are_kept_under_their_own_names() -> None:
    line = "count=50 first=5 curr=4 min=3 max=6 avg=4.5 std=1 p5=3 median=4 p95=6"
    old = "count=50 first=266601 curr=266931 min=265837 max=268116 avg=266473 std=419"
    text = PRINTED.replace(old, line).replace("Inference (avg): 266473", "Inference (avg): 4.5")
    measured = parse(text, "x")["measured"]
    assert (measured["p5_ns"], measured["median_ns"], measured["p95_ns"], measured["mean_ns"]) == (
        3000,
        4000,
        6000,
        4500,
    )


@pytest.mark.parametrize(
    "change",
    [
        ("Inference timings", "Timings"),
        ("avg=266473", "avg=oops"),
        ("Inference (avg): 266473", "Inference (avg): 300000"),
        ("count=2 ", "n=2 "),
    ],
)
def test_another_print_is_refused_and_never_guessed(change: tuple[str, str]) -> None:
    with pytest.raises(EngineError, match="benchmark_model"):
        parse(PRINTED.replace(*change), "x")


def test_what_a_device_does_not_say_is_none() -> None:
    state = android_state(lambda command: "zone=cpu:41000\nzone=odd:41\nlevel=55\n")
    assert state["temperatures_millicelsius"] == {"cpu": 41000}
    assert (state["charging"], state["screen_on"], state["thermal_status"]) == (False, None, None)
    assert (state["battery_percent"], state["battery_filling"]) == (55, None)


@pytest.mark.parametrize(("status", "filling"), [(2, True), (3, False), (5, False)])
def test_a_battery_that_is_being_filled_is_told_from_a_full_one_on_its_cable(status: int, filling: bool) -> None:
    state = android_state(lambda command: f"level=90\npowered=true\nbattery={status}\n")
    assert (state["charging"], state["battery_filling"]) == (True, filling)
