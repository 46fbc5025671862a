"""The environment of onnx2tf and TensorFlow: made by one command, pinned, kept in the user's cache, never imported."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge.engines.python_child import THIS_PYTHON, code_arguments, module_arguments
from edge.errors import EngineError

VARIABLE = "EDGE_ONNX2TF_PYTHON"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON = "3.11"  # one of the pinned packages has wheels up to this version
READY = ".ready"
INSTALL_LIMIT_S = 3600


def environment_folder() -> Path:
    """Where the environment stands: the user's cache; another set of pins is another folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    return Path(base) / "edge-deploy" / f"onnx2tf-{pins}"


def find_python() -> Path:
    """The Python that has onnx2tf: the one that EDGE_ONNX2TF_PYTHON names, else the cached environment's.

    Raises:
        EngineError: there is none; the message names the command that makes it.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise EngineError(f"{VARIABLE}={named}: no such file; it must be a Python that has onnx2tf")
        return Path(named)
    folder = environment_folder()
    if not (folder / READY).is_file():
        raise EngineError(
            "--via onnx2tf needs onnx2tf and TensorFlow in an environment of their own (about 2 GB); "
            "make it once with `edge convert --prepare-onnx2tf`"
        )
    return folder / "bin" / "python"


def prepare(say: Callable[[str], None]) -> Path:
    """Make the environment, or find it made.

    Args:
        say: is told what is happening, one line at a time.

    Returns:
        Its Python.

    Raises:
        EngineError: no Python 3.11 on this machine, or an installation that failed, with its last line.
    """
    folder = environment_folder()
    python = folder / "bin" / "python"
    if (folder / READY).is_file():
        say(f"{folder} is ready")
        return python
    creator = _creator()
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    say(f"making {folder} with {creator}; about 2 GB")
    _run([creator, *module_arguments("venv", [str(folder)])])
    quiet = ["install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([str(python), *module_arguments("pip", [*quiet, "--requirement", str(REQUIREMENTS)])])
    _run([str(python), *code_arguments("import onnx2tf, tensorflow")])
    (folder / READY).write_text("", encoding="utf-8")
    say(f"{folder} is ready")
    return python


def _creator() -> str:
    if ".".join(str(part) for part in sys.version_info[:2]) == PYTHON:
        return THIS_PYTHON
    found = shutil.which(f"python{PYTHON}")
    if found is None:
        raise EngineError(
            f"onnx2tf's pinned packages need Python {PYTHON}, which is not on the path; install it, or name a Python "
            f"that has onnx2tf with {VARIABLE}"
        )
    return found


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"the environment of onnx2tf could not be made: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = lines[-1] if lines else f"exit code {done.returncode}"
        raise EngineError(f"the environment of onnx2tf could not be made: {' '.join(last.split())}")
