"""The emulated userland: where it lies, whether it is whole, how it is built."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge.engines.python_child import THIS_PYTHON
from edge.errors import EngineError, UsageError, unknown_name

HERE = Path(__file__).resolve().parent
# Core -> the Raspberry Pi that has it; build.sh makes a machine folder for each.
CPUS: Mapping[str, str] = MappingProxyType(
    {"cortex-a53": "Raspberry Pi 3", "cortex-a72": "Raspberry Pi 4", "cortex-a76": "Raspberry Pi 5"}
)
SUITES = ("bookworm", "trixie")
BUILD_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class Userland:
    """A built userland: `python3` is its interpreter, `plugin` counts the instructions of what runs there."""

    folder: Path

    @property
    def python3(self) -> Path:
        """An interpreter that says it is on aarch64."""
        return self.folder / "python3"

    @property
    def plugin(self) -> Path:
        """The shared library that qemu loads."""
        return self.folder / "qemu" / "plugin" / "instructions.so"


def default_folder() -> Path:
    """Where the userland lies unless told: `edge-deploy/emulated-arm64` in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "edge-deploy" / "emulated-arm64"


def open_userland(folder: Path | None = None) -> Userland:
    """The userland in a folder. Refuses (EngineError) one that was not built, with the command that builds it."""
    found = Userland(folder=(folder or default_folder()).absolute())
    named = f":{folder}" if folder else ""
    for needed in (found.folder / ".ready", found.python3, found.plugin):
        if not needed.is_file():
            raise EngineError(
                f"emulated-arm64: {found.folder} holds no userland ({needed.name} is missing); "
                f"build it with `edge bench --prepare --on emulated-arm64{named}`"
            )
    return found


def build_userland(folder: Path | None = None, *, suite: str = "bookworm", python: str = THIS_PYTHON) -> Userland:
    """Build the userland unless it stands: Debian's arm64 packages and aarch64 wheels, under a minute, 350 MB.

    Args:
        suite: `bookworm` (Python 3.11, every runtime) or `trixie` (Python 3.13, no tflite-runtime).
        python: an interpreter with pip.

    Raises:
        UsageError: an unknown suite. EngineError: a tool is missing, or packages cannot be had; the last line says it.
    """
    if suite not in SUITES:
        raise UsageError(unknown_name("suite", suite, SUITES))
    target = (folder or default_folder()).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            ["bash", str(HERE / "build.sh"), str(target), python, suite],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"emulated-arm64: {target} cannot be built: {error}") from error
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise EngineError(f"emulated-arm64: {target} cannot be built: {said[-1].strip() if said else done.returncode}")
    return open_userland(target)
