"""A real sshd on 127.0.0.1 with throwaway keys, whose python3 is any that we choose: a device to test with."""

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
# Every session comes through here: the faults of the day first, then what the client asked for, in the device's world.
SESSION = """#!/bin/sh
export PATH="{bin}:/usr/bin:/bin" XDG_CACHE_HOME="{cache}" QEMU_CPU=cortex-a72
. "{faults}"
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""


@dataclass(kw_only=True, eq=False)
class Device:
    """A running sshd. `name` leads there with `--ssh-config config`; `faults` is sh that every session runs first."""

    folder: Path
    port: int
    server: "subprocess.Popen[bytes]"

    @property
    def name(self) -> str:
        """For --on."""
        return f"ssh://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        """The client's configuration: key and known host."""
        return self.folder / "config"

    @property
    def known_hosts(self) -> Path:
        """The client's known hosts."""
        return self.folder / "known_hosts"

    @property
    def faults(self) -> Path:
        """Sourced by every session."""
        return self.folder / "faults"

    @property
    def root(self) -> Path:
        """The agent's folder on the device."""
        return self.folder / "cache" / "edge-deploy"

    def jobs(self) -> list[Path]:
        """Folders of jobs on the device."""
        return sorted((self.root / "jobs").glob("*"))

    def sessions(self) -> list[int]:
        """The server's processes, one per connection."""
        children = [line.split() for line in _processes()]
        return [int(pid) for pid, parent in children if int(parent) == self.server.pid]

    def cut(self) -> int:
        """Kill the server's process of every connection; how many."""
        doomed = self.sessions()
        _end(doomed)
        return len(doomed)

    def stop(self) -> None:
        """End the server and every session; detached jobs go on."""
        doomed = self.sessions()
        self.server.kill()
        self.server.wait(timeout=10)
        _end(doomed)

    def restart(self) -> None:
        """Serve again on the same port."""
        self.server = _serve(self.folder)


def start_device(folder: Path, python: str) -> Device:
    """Start an sshd whose python3 is `python`."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    (folder / "bin" / "python3").chmod(0o755)
    session = folder / "session"
    values = {"bin": folder / "bin", "cache": folder / "cache", "faults": folder / "faults"}
    session.write_text(SESSION.format(**values))
    session.chmod(0o755)
    (folder / "faults").write_text("")
    for key in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
    port = _free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin yes\nForceCommand {session}\n"
    )
    (folder / "config").write_text(
        f"Host *\nIdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known_hosts\n"
        "GlobalKnownHostsFile /dev/null\n"
    )
    device = Device(folder=folder, port=port, server=_serve(folder))
    know(device, "host")
    return device


def know(device: Device, key: str) -> None:
    """Let the client know a host key as the device's: `host` is the true one, `other` a wrong one."""
    public = (device.folder / f"{key}.pub").read_text().split()
    device.known_hosts.write_text(f"[127.0.0.1]:{device.port} {public[0]} {public[1]}\n")


def _serve(folder: Path) -> "subprocess.Popen[bytes]":
    if os.getuid() == 0:  # where its unprivileged process looks at an empty folder
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "sshd.log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log)
    for _ in range(100):
        if b"listening on" in (folder / "sshd.log").read_bytes():
            return server
        time.sleep(0.05)
    server.kill()
    raise RuntimeError((folder / "sshd.log").read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _processes() -> list[str]:
    done = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _end(processes: list[int]) -> None:
    """Kill processes, some of which may just have ended."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
