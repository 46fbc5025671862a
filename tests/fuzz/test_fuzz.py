"""A few hundred damaged files; `python tests/fuzz/run.py` tries 20,000."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_damaged_files_end_in_one_line_and_leave_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--cases", "400", "--workers", "1"]
    found = subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith("400 cases"), found.stdout
    assert "refused" in found.stdout and "inspect: done" in found.stdout
