"""The `adb` program: which devices there are, commands on one, files to it; every failure is one line."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_bench.targets.bounded_run import Finished, run_bounded
from edge.errors import EngineError, one_line

COMMAND_SECONDS = 120.0
UNUSABLE: Mapping[str, str] = {
    "unauthorized": "is not authorized: unlock it and allow USB debugging for this computer",
    "offline": "is offline: plug it in again, or run `adb reconnect`",
    "no permissions": "may not be opened by this user: the system's udev rules must allow it",
    "recovery": "is in recovery mode: start Android on it",
    "bootloader": "is in its bootloader: start Android on it",
}


@dataclass(frozen=True, kw_only=True)
class AdbClient:
    """Calls `adb` for one device.

    Attributes:
        program: path of adb. serial: of the device. environment: of adb (ANDROID_ADB_SERVER_PORT); None: ours.
    """

    program: str
    serial: str
    environment: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """`adb:SERIAL`, which opens every message."""
        return f"adb:{self.serial}"

    def shell(self, command: str, *, seconds: float = COMMAND_SECONDS) -> str:
        """What a command prints on the device. Refuses (EngineError) an exit code but 0, silence, a lost device."""
        done = self._run(["shell", command], seconds)
        if done.status != 0:
            raise EngineError(one_line(f"{self.name}: {_last_line(done)} (exit code {done.status})"))
        return done.out.replace("\r\n", "\n")

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the device. Refuses (EngineError) a full or read-only disk, and a lost device."""
        done = self._run(["push", str(source), target], COMMAND_SECONDS)
        if done.status != 0:
            raise EngineError(one_line(f"{self.name}: {source.name} cannot be copied to it: {_last_line(done)}"))

    def _run(self, arguments: Sequence[str], seconds: float) -> Finished:
        return run_adb(self.program, ["-s", self.serial, *arguments], self.name, self.environment, seconds)


def find_adb() -> str:
    """Path of `adb`. Refuses (EngineError) a machine without it, with what to install."""
    program = shutil.which("adb")
    if program is None:
        raise EngineError("adb: the program is not installed; install Android's platform tools (Debian: package adb)")
    return program


def run_adb(
    program: str, arguments: Sequence[str], name: str, environment: Mapping[str, str] | None, seconds: float
) -> Finished:
    """Run adb to its end. Refuses (EngineError) one that cannot be started, takes longer, or prints without an end."""
    try:
        return run_bounded(
            [program, *arguments],
            name=name,
            seconds=seconds,
            environment=None if environment is None else {**os.environ, **environment},
        )
    except TimeoutError as error:
        raise EngineError(f"{name}: no answer within {seconds:g} s; a longer --timeout waits longer") from error
    except OSError as error:
        raise EngineError(f"{name}: {program} cannot be started: {error.strerror}") from error


def choose_device(program: str, serial: str | None, environment: Mapping[str, str] | None = None) -> str:
    """The serial of the device that is meant: the one named, or the only one.

    Raises:
        EngineError: none, several without a name, not the one named, or one that cannot be used as it is.
    """
    done = run_adb(program, ["devices"], "adb", environment, COMMAND_SECONDS)
    if done.status != 0:
        raise EngineError(one_line(f"adb: {_last_line(done)}"))
    found = {}
    for line in done.out.splitlines():
        words = line.split("\t")
        if len(words) == 2:
            found[words[0]] = words[1].strip()
    known = ", ".join(found) or "none"
    if serial is None:
        if not found:
            raise EngineError("adb: no device is connected; plug one in and allow USB debugging on it")
        if len(found) > 1:
            raise EngineError(f"adb: several devices are connected ({known}); name one: --on adb:{next(iter(found))}")
        serial = next(iter(found))
    if serial not in found:
        raise EngineError(one_line(f"adb:{serial}: no such device is connected (connected: {known})"))
    state = found[serial]
    if state != "device":
        told = next((words for start, words in UNUSABLE.items() if state.startswith(start)), f"is in the state {state}")
        raise EngineError(one_line(f"adb:{serial}: {told}"))
    return serial


def _last_line(done: Finished) -> str:
    """The last thing that adb or the command said, an error before anything else."""
    lines = done.lines
    errors = [line for line in lines if "error:" in line or "failed" in line]
    told = (errors or lines or ["it ended without a word"])[-1]
    return told.removeprefix("adb: ").removeprefix("error: ")
