"""The OpenSSH client: how it is called, and what its failures mean."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from edge.errors import EngineError, UsageError, one_line

ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.-]*)@)?"
    r"(?P<host>[A-Za-z0-9_.][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:]+(?:%[A-Za-z0-9_.]+)?\])(?::(?P<port>[0-9]{1,5}))?/?"
)
# No question is ever asked, no key accepted unseen; a connection that is dead is noticed after a minute.
OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=20",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ClearAllForwardings=yes",
)
FOLDER = '"${XDG_CACHE_HOME:-$HOME/.cache}"/edge-deploy'


class ConnectionCut(EngineError):
    """The connection was lost, or cannot be made; another try may succeed."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where `ssh` connects to; what is None is left to the user's ssh configuration."""

    host: str
    user: str | None = None
    port: int | None = None
    config: Path | None = None

    @property
    def name(self) -> str:
        """`ssh://pi@host:22`."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}{f':{self.port}' if self.port else ''}"

    def command(self, remote: str) -> list[str]:
        """The local command that runs a line in the device's sh."""
        given = [word for option in OPTIONS for word in ("-o", option)]
        config = ["-F", str(self.config)] if self.config else []
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return ["ssh", "-T", *config, *given, *user, *port, "--", self.host, f"exec sh -c {shlex.quote(remote)}"]

    def failure(self, status: int, said: str) -> EngineError:
        """What a client that ended means.

        Args:
            status: its exit code; 255 is its own failure, others are the remote command's.
            said: what stood on standard error.
        """
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = one_line(lines[-1]) if lines else ""
        port = "" if self.port in (None, 22) else f" -p {self.port}"
        user = f"{self.user}@" if self.user else ""
        marked = self.host if not port else f"[{self.host}]:{self.port}"
        if "IDENTIFICATION HAS CHANGED" in said:
            return EngineError(
                f"{self.name}: the host key changed; nothing was sent. If the device was set up anew, check its "
                f"fingerprint there, then `ssh-keygen -R {shlex.quote(marked)}`; otherwise somebody is in between"
            )
        if "Host key verification failed" in said or "key is known for" in said:
            return EngineError(
                f"{self.name}: an unknown host; nothing was sent. Call `ssh{port} {self.host}` once, compare the "
                "fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the device, and accept it"
            )
        if "Permission denied" in said or "Too many authentication failures" in said:
            return EngineError(
                f"{self.name}: authentication refused ({last}); passwords are not asked for: put your public key "
                f"there with `ssh-copy-id{port} {user}{self.host}`, or load it with ssh-add"
            )
        if status == 255 or status < 0:
            return ConnectionCut(f"{self.name}: {last or 'the connection was cut'}")
        if status in (126, 127):
            return EngineError(
                f"{self.name}: there is no such Python ({last}); install python3 there, or name one with --python"
            )
        if "numpy is missing" in said:
            return EngineError(f"{self.name}: {last}; `edge bench --prepare --on {self.name}` installs what is needed")
        return EngineError(f"{self.name}: {last or f'ended with exit code {status}'}")


def parse_address(text: str, config: Path | None = None) -> Address:
    """`ssh://[user@]host[:port]`, IPv6 in brackets. Refuses (UsageError) anything that ssh could take for an option."""
    matched = ADDRESS.fullmatch(text)
    if matched is None or (matched["port"] and not 0 < int(matched["port"]) < 65536):
        raise UsageError(one_line(f"--on {text}: give ssh://[USER@]HOST[:PORT], without a password"))
    port = int(matched["port"]) if matched["port"] else None
    return Address(host=matched["host"].strip("[]"), user=matched["user"], port=port, config=config)


def python_line(python: str | None, arguments: list[str]) -> str:
    """A line of sh that starts Python: the one named, else the one that --prepare made, else python3."""
    joined = shlex.join(arguments)
    if python is not None:
        return f"exec {shlex.quote(python)} {joined}"
    return f'p={FOLDER}/python/bin/python3; [ -x "$p" ] || p=python3; exec "$p" {joined}'
