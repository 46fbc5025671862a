"""The datagrams that a service manager gets, from a socket that receives them."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.camera.systemd import Notifier

SECOND = 1_000_000_000


class Manager:
    """Receives what is sent to an address."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0"))
        self._socket.setblocking(False)
        self.address = address

    def received(self) -> list[list[str]]:
        """The lines of every datagram since the last call."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@edge-test-{os.getpid()}"
    receiving = Manager(address)
    yield receiving
    receiving.close()


class Clock:
    """A clock that a test sets."""

    now_ns = 5 * SECOND

    def __call__(self) -> int:
        return self.now_ns


def test_ready_comes_with_the_first_answer_and_the_watchdog_with_new_ones_only(manager: Manager) -> None:
    clock = Clock()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environment, clock)
    assert notifier.watchdog_ns == 8 * SECOND
    assert manager.received() == []
    notifier.answered(lambda: "1 of 1\nframes")
    assert manager.received() == [["READY=1", "WATCHDOG=1", "STATUS=1 of 1 frames"]]
    clock.now_ns += SECOND // 2
    notifier.answered(lambda: "2")
    assert manager.received() == []  # a quarter of the interval, and a second, are not over
    clock.now_ns += SECOND // 2
    notifier.answered(lambda: "3")
    assert manager.received() == [["STATUS=3"]]
    clock.now_ns += SECOND
    notifier.answered(lambda: "4")
    assert manager.received() == [["WATCHDOG=1", "STATUS=4"]]
    clock.now_ns += 100 * SECOND
    assert manager.received() == []  # no answer, no sign of life
    notifier.status("offline")
    notifier.stopping()
    assert manager.received() == [["STATUS=offline"], ["STOPPING=1"]]
    notifier.close()
    notifier.stopping()
    assert manager.received() == []


def test_a_watchdog_of_another_process_or_of_none_is_not_fed(manager: Manager) -> None:
    for watchdog in ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "many"}, {}):
        notifier = Notifier({"NOTIFY_SOCKET": manager.address, **watchdog})
        notifier.answered(lambda: "")
        assert manager.received() == [["READY=1", "STATUS="]]
        notifier.close()


def test_where_nobody_listens_the_run_goes_on(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "absent")}, {"NOTIFY_SOCKET": "x" * 300}):
        notifier = Notifier(environment)
        notifier.answered(lambda: "")
        notifier.stopping()
        notifier.close()


def test_a_name_that_is_no_text_is_told_escaped(manager: Manager) -> None:
    """Bytes of a path or URL that are no UTF-8 come into Python as lone surrogates."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    notifier.status("offline: \udcff is gone")
    assert manager.received() == [["STATUS=offline: \\udcff is gone"]]
    notifier.close()
