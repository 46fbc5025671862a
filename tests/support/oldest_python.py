"""The oldest Python that a device may have, where this machine has one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

OLDEST = (3, 10)


def oldest_python(*, with_numpy: bool = False) -> str:
    """Its interpreter: EDGE_OLDEST_PYTHON, pyenv's or the system's; the test is skipped where there is none."""
    name = f"python{OLDEST[0]}.{OLDEST[1]}"
    installed = sorted(Path.home().glob(f".pyenv/versions/{OLDEST[0]}.{OLDEST[1]}.*/bin/{name}"))
    found = os.environ.get("EDGE_OLDEST_PYTHON") or (str(installed[-1]) if installed else shutil.which(name))
    if not found:
        pytest.skip(f"no {name} here: install one, or name one by EDGE_OLDEST_PYTHON")
    code = f"import {'numpy' if with_numpy else 'sys'}"
    if subprocess.run([found, "-I", "-c", code], capture_output=True, check=False).returncode:
        pytest.skip(f"{found} has no numpy: name one that has by EDGE_OLDEST_PYTHON")
    return found
