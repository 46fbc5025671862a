"""Devices behind a real sshd."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulated_pi.sshd import SSHD, Device, start_device
from tests.support.lacking import lacking

StartDevice = Callable[[str], Device]


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[StartDevice]:
    """A function that starts a device whose python3 is the one named; all of them end with the test."""
    if not Path(SSHD).is_file():
        lacking(f"no {SSHD} here: install openssh-server; `make peers` needs it")
    started: list[Device] = []

    def start(python: str) -> Device:
        started.append(start_device(tmp_path / f"device_{len(started)}", python))
        return started[-1]

    yield start
    for device in started:
        device.stop()


@pytest.fixture
def device(devices: StartDevice) -> Device:
    """A device that is this machine: quick."""
    return devices(sys.executable)


@pytest.fixture
def pi_ssh(devices: StartDevice, emulated_pi: str) -> Device:
    """A device that is the emulated aarch64 userland."""
    return devices(emulated_pi)


@pytest.fixture
def pi_without_runtimes(devices: StartDevice, tmp_path: Path) -> Device:
    """A device whose Python has numpy, but neither a runtime nor venv."""
    import numpy

    packages = tmp_path / "packages"
    packages.mkdir()
    for found in Path(numpy.__file__).parent.parent.glob("numpy*"):
        (packages / found.name).symlink_to(found)
    for name in ("ensurepip", "venv"):
        (packages / f"{name}.py").write_text(f"raise ImportError('{name} is not installed')")
    python = tmp_path / "python_without"
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH="{packages}"\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    return devices(str(python))
