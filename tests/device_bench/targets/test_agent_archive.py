"""What travels to a device: Python 3.9 can read it, and it needs neither pydantic nor click nor OpenCV."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from device_bench.targets.agent_archive import BENCH_MODULES, bench_archive

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", BENCH_MODULES)
def test_python_39_can_read_a_module(name: str) -> None:
    ast.parse((ROOT / name).read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("name", BENCH_MODULES)
def test_no_module_evaluates_a_union_of_types_at_import(name: str) -> None:
    """Annotations are evaluated late on a device; aliases are not, and Python 3.9 has no `X | None`."""
    module = ast.parse((ROOT / name).read_text())
    values = [node.value for node in module.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    unions = [node for value in values for node in ast.walk(value) if isinstance(getattr(node, "op", None), ast.BitOr)]
    assert not unions


def test_the_archive_is_the_same_every_time_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "agent.zip"
    path.write_bytes(bench_archive())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(BENCH_MODULES)
        assert all(entry.date_time == (1980, 1, 1, 0, 0, 0) for entry in archive.infolist())


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
