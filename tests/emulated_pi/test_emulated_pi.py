"""The emulated aarch64 userland behaves like a Raspberry Pi; instructions are counted in it.

`make peers` builds it, and `make emulated-pi` it alone.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from device_bench.targets.emulated_arm64.userland import CPUS, build_userland, open_userland
from edge.errors import EngineError, UsageError

TOLD = """
import json, os, platform, subprocess, sys
from importlib.metadata import version
ask = "import platform; print(platform.machine())"
inner = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
print(json.dumps({
    "machine": platform.machine(), "python": sys.version_info[:2], "inner": inner.stdout.strip(),
    "versions": {name: version(name) for name in ("numpy", "tflite-runtime", "ai-edge-litert", "onnxruntime")},
    "model": open("/proc/device-tree/model").read().rstrip("\\0"),
    "cpu_is_arm": "CPU implementer" in open("/proc/cpuinfo").read(),
    "sysfs": os.path.exists("/sys/devices/system/cpu/possible"),
}))
"""
MARKED = """
import ctypes
mark = ctypes.CDLL(None).getpriority
for tag in range(4):
    mark(0x65646765, tag)
"""


def test_it_is_an_aarch64_python_with_every_runtime(emulated_pi: str) -> None:
    done = subprocess.run([emulated_pi, "-c", TOLD], capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert (told["machine"], told["python"], told["inner"]) == ("aarch64", [3, 11], "aarch64")
    assert told["versions"]["numpy"].startswith("1.") and told["versions"]["tflite-runtime"] == "2.14.0"
    assert told["model"].startswith("Raspberry Pi 4") and told["cpu_is_arm"] and told["sysfs"]


def test_exit_codes_and_standard_input_pass_through(emulated_pi: str) -> None:
    code = "import sys; sys.exit(len(sys.stdin.buffer.read()))"
    done = subprocess.run([emulated_pi, "-c", code], input=b"seven..", capture_output=True, timeout=60, check=False)
    assert done.returncode == 7


@pytest.mark.parametrize("cpu", CPUS)
def test_every_core_comes_with_the_files_of_its_board(emulated_pi: str, cpu: str) -> None:
    ask = "print(open('/proc/device-tree/model').read().rstrip(chr(0)))"
    environment = {**os.environ, "QEMU_CPU": cpu}
    done = subprocess.run(
        [emulated_pi, "-c", ask], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout.startswith(CPUS[cpu])


def test_a_shell_there_runs_aarch64_programs_only(emulated_pi: str) -> None:
    shell = Path(emulated_pi).parent / "sh"
    script = "uname -m | sed s/aarch64/arm/; python3 -c 'import platform; print(platform.machine())'; exit 5"
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.returncode) == (["arm", "aarch64"], 5)


def test_marks_are_counted_alike_every_time(emulated_pi: str, tmp_path: Path) -> None:
    userland = open_userland(Path(emulated_pi).parent)
    out = tmp_path / "marks"
    environment = {**os.environ, "QEMU_PLUGIN": f"file={userland.plugin},out={out}"}
    subprocess.run([userland.python3, "-c", MARKED], timeout=60, check=True, env=environment)
    marks = [tuple(map(int, line.split())) for line in out.read_text().splitlines()]
    assert [tag for tag, _, _ in marks] == [0, 1, 2, 3] and {others for *_, others in marks} == {0}
    counts = [count for _, count, _ in marks]
    assert 0 < counts[3] - counts[2] == counts[2] - counts[1] < 20_000


def test_a_folder_without_a_userland_is_refused_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="edge bench --prepare --on emulated-arm64:"):
        open_userland(tmp_path)


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(EngineError, match="cannot be built"):
        build_userland(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_unknown_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trixie"):
        build_userland(tmp_path / "new", suite="trixy")
