"""The unit of docs/camera_service.md: systemd takes it, and its command runs as it says."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from configparser import RawConfigParser
from pathlib import Path

import pytest

from edge.camera.sources.film import open_film
from tests.benchmarks.camera_soak import network_camera
from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "camera_service.md"
FIRST_ANSWER_S = 60.0


def unit() -> RawConfigParser:
    """The page's unit."""
    (text,) = [block.text for block in blocks(PAGE) if block.said.endswith(Path(__file__).name)]
    parsed = RawConfigParser()
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(text)
    return parsed


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here")
    described = unit()
    words = shlex.split(described["Service"]["ExecStart"])
    described["Service"]["ExecStart"] = shlex.join([sys.executable, *words[1:]])
    described["Service"]["User"] = "root"
    path = tmp_path / "edge-camera.service"
    with path.open("w") as file:
        described.write(file, space_around_delimiters=False)
    done = subprocess.run([analyze, "verify", "--man=no", path], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if "edge-camera" in line]
    assert told == []


@pytest.mark.unhurried
def test_its_command_is_ready_after_an_answer_and_ends_when_it_is_stopped(
    make_artifact: Callable[..., Path], tmp_path: Path
) -> None:
    service = unit()["Service"]
    words = shlex.split(service["ExecStart"])
    films = tmp_path / "films"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(FIRST_ANSWER_S)
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(int(service["WatchdogSec"]) * 1_000_000),
        "OMP_NUM_THREADS": "1",
    }
    with network_camera(20) as url:
        other = {words[2]: str(make_artifact()), "picamera2": url, words[words.index("--out") + 1]: str(films)}
        other |= {"9109": "0"}
        given = [other.get(word, word) for word in words[1:]]
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", *given, "--engine", "null"],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
        )
        first = manager.recv(4096).decode().split("\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(float(service["TimeoutStopSec"])) == 0
    manager.setblocking(False)
    told = [manager.recv(4096).decode()]
    while told[-1] != "STOPPING=1":
        told.append(manager.recv(4096).decode())
    manager.close()
    assert first[:2] == ["READY=1", "WATCHDOG=1"] and service["Type"] == "notify"
    assert float(service["WatchdogSec"]) > 10 and float(service["TimeoutStopSec"]) > 2
    (film,) = films.glob("*.avi")
    assert list(open_film(film).frames())
