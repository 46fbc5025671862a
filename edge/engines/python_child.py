"""The one place that starts a Python: it imports nothing from the folder that somebody happens to stand in.

`-c` and `-m` put the current folder at the head of the module search path, where a stranger's `numpy.py` would be found
first. `-P` and PYTHONSAFEPATH, which leave it away, exist from Python 3.11 on only.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

THIS_PYTHON = sys.executable
# `sys` is built in: no file is looked for before the current folder is off the path.
AWAY = "import sys\nsys.path[:] = [entry for entry in sys.path if entry]\n"


def code_arguments(code: str, arguments: Sequence[str] = ()) -> list[str]:
    """Arguments for a Python of any version that runs code; PYTHONPATH and the user's packages hold as ever."""
    return ["-c", AWAY + code, *arguments]


def file_arguments(path: Path, arguments: Sequence[str] = ()) -> list[str]:
    """Arguments for a Python of any version that runs one file, isolated (`-I`)."""
    return ["-I", str(path), *arguments]


def module_arguments(module: str, arguments: Sequence[str] = ()) -> list[str]:
    """Arguments for a Python of any version that runs an installed module (`pip`, `venv`), isolated (`-I`)."""
    return ["-I", "-m", module, *arguments]
