"""Some damaged files, and a few hundred; `python tests/fuzz/run.py` tries 20,000."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.unhurried
@pytest.mark.parametrize("cases", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_damaged_files_end_in_one_line_and_leave_nothing(cases: int, tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--cases", str(cases), "--workers", "1"]
    found = subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith(f"{cases} cases"), found.stdout
    assert "refused" in found.stdout and "inspect: done" in found.stdout
