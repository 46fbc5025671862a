"""What travels to a device: Python 3.10 can read it, and it needs neither pydantic nor click nor OpenCV."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from device_bench.agent.job_server import START_JOB
from device_bench.targets.agent_archive import COUNT, SERVE, bench_archive
from device_bench.targets.job_server_process import BOOT, job_server_archive
from device_bench.targets.ssh_prepare import PREPARE
from edge.engines.agent_code import START, agent_files
from tests.support.oldest_python import OLDEST, oldest_python

ROOT = Path(__file__).resolve().parents[3]
BENCH_FILES = agent_files(SERVE, COUNT)


@pytest.mark.parametrize("name", BENCH_FILES)
def test_python_3_10_can_read_a_module(name: str) -> None:
    ast.parse((ROOT / name).read_text(), feature_version=OLDEST)


def test_the_oldest_python_compiles_what_travels(tmp_path: Path) -> None:
    """The real one, with nothing installed: the modules, and the lines that start them."""
    path = tmp_path / "agent.zip"
    path.write_bytes(job_server_archive())
    lines = repr([BOOT, PREPARE, START.replace("{module}", "edge.engines.agent"), START_JOB])
    code = f"""
import sys, zipfile
with zipfile.ZipFile({str(path)!r}) as archive:
    for name in archive.namelist():
        compile(archive.read(name), name, "exec")
for lines in {lines}:
    compile(lines, "lines", "exec")
sys.path.insert(0, {str(path)!r})
import edge.errors, edge.files.leftovers
print(edge.errors.__file__)
"""
    done = subprocess.run([oldest_python(), "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(str(path)), done.stderr


def test_the_archive_is_the_same_every_time_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "agent.zip"
    path.write_bytes(bench_archive())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(BENCH_FILES)
        assert all(entry.date_time == (1980, 1, 1, 0, 0, 0) for entry in archive.infolist())


def test_every_engine_for_devices_travels_and_what_only_the_host_needs_does_not() -> None:
    """The engines' table names them by text; a module of typing alone, or of the host, stays."""
    assert {"edge/engines/litert.py", "edge/engines/onnx_session.py", "edge/vision/encoding.py"} <= set(BENCH_FILES)
    assert not [name for name in BENCH_FILES if name.startswith(("edge/engines/torch", "edge/artifact", "edge/cli"))]
    assert "device_bench/records/record.py" not in BENCH_FILES
    assert len(BENCH_FILES) < 90


def test_the_agent_probes_without_what_a_device_lacks(tmp_path: Path) -> None:
    """In a process where the host's packages cannot be imported."""
    path = tmp_path / "agent.zip"
    path.write_bytes(bench_archive())
    code = f"""
import sys
for name in ("pydantic", "click", "rich", "cv2", "torch"):
    sys.modules[name] = None
sys.path.insert(0, {str(path)!r})
from device_bench.agent.run_job import probe
import device_bench.agent.serve
assert device_bench.agent.serve.__file__.startswith({str(path)!r})
print(sorted(probe()))
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "'machine'" in done.stdout and "'state'" in done.stdout
