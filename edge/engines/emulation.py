"""Whether this process runs on a machine that a program plays: its answers are the machine's, its times are not."""

import os
from pathlib import Path


def emulator() -> str | None:
    """Name of the user-mode emulator that runs this process (`qemu-aarch64`), None where none can be told.

    qemu-user answers `/proc/self/exe` with the emulated program; the entry of the thread still names qemu itself. A
    whole emulated computer cannot be told from a real one this way.
    """
    try:
        program = Path(f"/proc/self/task/{os.getpid()}/exe").readlink().name
    except OSError:  # no /proc: not Linux
        return None
    return program if program.startswith("qemu-") else None
