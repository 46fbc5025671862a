"""One connection to the agent on a device: its code is sent unless it is there, then requests are answered."""

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from device_bench.targets.agent_archive import COUNT, SERVE
from device_bench.targets.conversation import Conversation, NoReply, Tell
from device_bench.targets.ssh_client import Address, ConnectionCut, python_line
from edge.engines.agent_code import agent_archive
from edge.engines.framing import CutOff, Ended
from edge.engines.python_child import code_arguments
from edge.errors import EngineError, one_line

JOB_SERVER = "device_bench.agent.job_server"
REPLY_SECONDS = 300.0
GREETING_LINES = 200  # a login script may talk before the agent does
HAVE, NEED = b"edge-agent have\n", b"edge-agent need\n"
# Every Python can read it; what is too old, or lacks numpy, says so.
BOOT = """
import hashlib, os, sys
if sys.version_info < (3, 10):
    sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0] + "; name another one with --python")
try:
    import numpy
except ImportError:
    sys.exit("numpy is missing in " + sys.executable)
size, expected = int(sys.argv[1]), sys.argv[2]
cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
folder = os.path.join(cache, "edge-deploy", "agent-" + expected[:16])
archive = os.path.join(folder, "agent.zip")
replies = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
code = b""
if os.path.isfile(archive):
    with open(archive, "rb") as handle:
        code = handle.read()
if hashlib.sha256(code).hexdigest() == expected:
    replies.write(b"edge-agent have\\n")
    replies.flush()
else:
    replies.write(b"edge-agent need\\n")
    replies.flush()
    code = sys.stdin.buffer.read(size)
    if hashlib.sha256(code).hexdigest() != expected:
        sys.exit("the agent's code arrived damaged")
    temporary = archive + "." + str(os.getpid())
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(temporary, "wb") as handle:
            handle.write(code)
        os.replace(temporary, archive)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        sys.exit("the agent cannot be written to " + folder + ": " + str(error.strerror) + "; free space there")
sys.path.insert(0, archive)
from device_bench.agent.job_server import serve
serve(archive, sys.stdin.buffer, replies)
"""


def job_server_archive() -> bytes:
    """The agent's code as it lies on a device."""
    return agent_archive(SERVE, COUNT, JOB_SERVER)


class JobServerProcess:
    """An `ssh` with the agent at its other end; a context manager that ends the connection.

    Raises:
        ConnectionCut: it cannot be made. EngineError: host key, authentication, Python or numpy; in one line.
    """

    def __init__(self, address: Address, archive: bytes, *, python: str | None = None) -> None:
        self._address = address
        line = python_line(python, code_arguments(BOOT, [str(len(archive)), hashlib.sha256(archive).hexdigest()]))
        try:
            self._talk = Conversation(address.command(line), name=address.name)
        except OSError as error:
            raise EngineError(f"ssh cannot be started: {error.strerror}; install openssh-client") from error
        try:
            self._greet(archive)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "JobServerProcess":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the connection."""
        self.close()

    def ask(
        self,
        request: Mapping[str, Any],
        payload: bytes = b"",
        *,
        progress: Tell | None = None,
        seconds: float | None = REPLY_SECONDS,
    ) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Args:
            seconds: until the connection is given up; None waits as long as ssh finds the other side alive.

        Raises:
            ConnectionCut: it was lost. EngineError, UsageError: the agent's own, or what came is none of its answers.
        """
        try:
            return self._talk.ask(request, payload, seconds, progress)
        except NoReply as error:
            if isinstance(error.reason, EngineError) and not isinstance(error.reason, Ended | CutOff):
                self.kill()
                raise EngineError(one_line(f"{self._address.name}: {error.reason}")) from error
            raise self._failure() from error

    def kill(self) -> None:
        """Cut the connection, called from another thread: whoever waits for an answer is told so."""
        self._talk.process.kill()

    def close(self) -> None:
        """End the connection; a job that runs there goes on."""
        self._talk.close()

    def _greet(self, archive: bytes) -> None:
        source, sink = self._talk.source, self._talk.sink
        try:
            with self._talk.deadline(REPLY_SECONDS, threading.Event()):
                for _ in range(GREETING_LINES):
                    line = source.readline(4096)
                    if line == HAVE:
                        return
                    if line == NEED:
                        sink.write(archive)
                        sink.flush()
                        return
                    if not line:
                        break
        except OSError as error:
            raise self._failure() from error
        raise self._failure()

    def _failure(self) -> EngineError:
        """Why there is no answer; the process is ended."""
        status = self._talk.ended(2)
        if status is None:
            return ConnectionCut(f"{self._address.name}: no answer")
        return self._address.failure(status, self._talk.said())
