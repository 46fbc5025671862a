"""What a service manager is told: one datagram each, by the protocol of sd_notify(3).

READY=1 comes after the first answer and WATCHDOG=1 after a new one only, so a camera that delivers nothing and a model
that hangs are restarted, however alive the process looks.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

PARTS_OF_INTERVAL = 4  # sd_watchdog_enabled(3) asks for half of the interval or less
STATUS_EVERY_NS = 1_000_000_000


class Notifier:
    """Tells the service manager of NOTIFY_SOCKET; without that variable every method does nothing.

    A datagram that nobody takes is lost, and the run goes on: to restart it is the manager's decision.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, clock: Callable[[], int] = time.monotonic_ns):
        """Read NOTIFY_SOCKET (a path, or `@name` in the abstract namespace), WATCHDOG_USEC and WATCHDOG_PID."""
        self._clock = clock
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        usec, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        watched = usec.isdecimal() and process in ("", str(os.getpid()))
        self.watchdog_ns = int(usec) * 1000 if watched else 0
        self._ready = False
        self._alive_ns = self._status_ns = -(1 << 62)

    def answered(self, status: Callable[[], str]) -> None:
        """There is a new answer. `status` makes a line for people, sent once a second at most."""
        now = self._clock()
        lines = [] if self._ready else ["READY=1"]
        if self.watchdog_ns and now - self._alive_ns >= self.watchdog_ns // PARTS_OF_INTERVAL:
            lines.append("WATCHDOG=1")
            self._alive_ns = now
        if self._socket is not None and now - self._status_ns >= STATUS_EVERY_NS:
            lines.append(_status(status()))
            self._status_ns = now
        self._ready = True
        self._send(*lines)

    def status(self, line: str) -> None:
        """A line for people, now."""
        self._send(_status(line))

    def stopping(self) -> None:
        """The run is ending."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None or not lines:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(errors="backslashreplace"), socket.MSG_DONTWAIT, address)


def _status(line: str) -> str:
    return "STATUS=" + " ".join(line.split())
