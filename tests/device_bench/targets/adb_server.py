"""An adb server in this process, with devices that are folders: the real adb program is its client.

It speaks the smart-socket protocol as far as `adb devices`, `adb shell` (shell,v2) and `adb push` (sync v1) need it. A
device's commands run in this machine's shell, with /data/local/tmp and the programs of Android standing in its folder.
"""

import os
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

VERSION = 41
DATA = "/data/local/tmp"
ABSENT = struct.pack("<4sIII", b"STAT", 0, 0, 0)


@dataclass(kw_only=True)
class Device:
    """A device: `state` as adb names it, and what goes wrong with it.

    full: files that are pushed end with no space left. lost_at: a word; a command with it loses the connection.
    """

    folder: Path
    state: str = "device"
    full: bool = False
    lost_at: str | None = None
    pushed: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine; devices by serial."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, devices: dict[str, Device]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.devices = devices

    @property
    def environment(self) -> dict[str, str]:
        """Leads adb here."""
        return {"ANDROID_ADB_SERVER_PORT": str(self.server_address[1])}


@contextmanager
def serving(devices: dict[str, Device]) -> Iterator[Server]:
    """A running server."""
    with Server(devices) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Handler(socketserver.BaseRequestHandler):
    """One connection of the client."""

    server: Server
    request: socket.socket

    def handle(self) -> None:
        """Services of the host until one of a device takes the connection over."""
        device: Device | None = None
        while True:
            length = self._exactly(4)
            if not length:
                return
            service = self._exactly(int(length, 16)).decode()
            words = service.split(":")
            if device is not None:
                if words[0] == "sync":
                    self.request.sendall(b"OKAY")
                    self._sync(device)
                elif words[0].startswith("shell"):
                    self._shell(device, service.split(":", 1)[1])
                return
            if service == "host:version":
                return self._answer(f"{VERSION:04x}")
            if service == "host:devices":
                return self._answer("".join(f"{name}\t{held.state}\n" for name, held in self.server.devices.items()))
            if words[-1] == "features":
                return self._answer("shell_v2,cmd")
            if "transport" in service or "tport" in service:
                device = self.server.devices.get(words[-1])
                if device is None or device.state != "device":
                    return self._fail("device not found" if device is None else f"device {device.state}")
                self.request.sendall(b"OKAY" + (struct.pack("<Q", 1) if words[1] == "tport" else b""))
                continue
            return self._fail(f"unknown service {service}")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                return b""
            data += more
        return data

    def _answer(self, text: str) -> None:
        self.request.sendall(f"OKAY{len(text):04x}{text}".encode())

    def _fail(self, text: str) -> None:
        self.request.sendall(f"FAIL{len(text):04x}{text}".encode())

    def _shell(self, device: Device, command: str) -> None:
        """Run a command; its output and exit code go back as packets of shell,v2."""
        device.commands.append(command)
        self.request.sendall(b"OKAY")
        if device.lost_at is not None and device.lost_at in command:
            return
        environment = {**os.environ, "PATH": f"{device.folder}/bin:{os.environ['PATH']}"}
        local = command.replace(DATA, f"{device.folder}{DATA}")
        done = subprocess.run(["sh", "-c", local], capture_output=True, env=environment, check=False)
        for number, data in ((1, done.stdout), (2, done.stderr), (3, bytes([done.returncode & 255]))):
            if data:
                self.request.sendall(struct.pack("<BI", number, len(data)) + data)

    def _sync(self, device: Device) -> None:
        """STAT and SEND of the sync service."""
        while head := self._exactly(8):
            word, length = struct.unpack("<4sI", head)
            if word == b"QUIT":
                return
            name = self._exactly(length).decode()
            if word == b"STAT":
                self.request.sendall(ABSENT)
            elif word == b"SEND":
                self._receive(device, name.rpartition(",")[0])

    def _receive(self, device: Device, name: str) -> None:
        data = b""
        while True:
            word, length = struct.unpack("<4sI", self._exactly(8))
            if word == b"DONE":
                break
            data += self._exactly(length)
        if device.full:
            told = b"couldn't write file: No space left on device"
            self.request.sendall(struct.pack("<4sI", b"FAIL", len(told)) + told)
            return
        device.pushed.append(name)
        path = Path(f"{device.folder}{name}")
        path.write_bytes(data)
        self.request.sendall(struct.pack("<4sI", b"OKAY", 0))
