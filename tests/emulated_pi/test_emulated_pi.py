"""The emulated aarch64 userland behaves like a Python interpreter of a Raspberry Pi.

EDGE_EMULATED_PI_PYTHON is its python3 (`make emulated-pi` builds it, `make test` sets the variable).
"""

import json
import subprocess

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
