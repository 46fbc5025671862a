"""A process that answers messages on its standard output: what is asked, how long it may take, what it said."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, BinaryIO, cast

from device_bench.records.record_types import LONGEST_NS
from edge.engines.framing import read_message, read_object, write_message
from edge.errors import EngineError, UsageError, one_line

KEPT_STDERR_BYTES = 8192
MAX_REPLY_BYTES = 64 << 20
Tell = Callable[[int, int], None]


class Conversation:
    """A running process and its three streams; a context manager that ends it.

    What it answers is bounded while it is read and decoded here and nowhere else; of what it writes to standard error
    the last KEPT_STDERR_BYTES are kept.

    Args:
        command: starts it. name: opens every message.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], *, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.subject = ""  # what it last said that it works on
        self._kept = b""
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ask(
        self,
        request: Mapping[str, Any],
        payload: bytes,
        seconds: float | None,
        progress: Tell | None = None,
        *,
        before: bytes = b"",
    ) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Args:
            before: sent ahead of the request, as it is.
            seconds: how long it may be silent; told progress starts the time anew. None: as long as it lives.

        Raises:
            NoReply: none came, or none that holds. EngineError, UsageError: the other side's own.
        """
        late = threading.Event()
        try:
            with self.deadline(seconds, late):
                self.sink.write(before)
                write_message(self.sink, request, payload)
            while True:
                with self.deadline(seconds, late):
                    header, data = read_message(self.source, MAX_REPLY_BYTES)
                if "error" in header:
                    break
                if "progress" in header:
                    told = _progress(header["progress"])
                    if progress is not None:
                        progress(*told)
                elif "subject" in header:
                    self.subject = one_line(str(header["subject"]))
                else:
                    return read_object(data, "its answer")
        except (OSError, ValueError, EngineError) as error:
            raise NoReply(error, late.is_set()) from error
        told_error = one_line(f"{self.name}: {header['error']}")
        raise UsageError(told_error) if header.get("kind") == "UsageError" else EngineError(told_error)

    @property
    def sink(self) -> BinaryIO:
        """Its standard input."""
        return cast(BinaryIO, self.process.stdin)

    @property
    def source(self) -> BinaryIO:
        """Its standard output."""
        return cast(BinaryIO, self.process.stdout)

    def deadline(self, seconds: float | None, late: threading.Event) -> "Deadline":
        """A block that may take so long; after that the process is killed and `late` is set."""
        return Deadline(seconds, self.process, late)

    def ended(self, seconds: float) -> int | None:
        """Its exit code, if it ends within so many seconds; else it is killed, and None."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def said(self) -> str:
        """What it wrote to standard error, the end of it; called when it has ended."""
        self._listener.join(timeout=5)
        return self._kept.decode("utf-8", "replace")

    def close(self) -> None:
        """End the process and free what it holds."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                _close_quietly(stream)
        self.ended(5)
        self._listener.join(timeout=5)
        if self.process.stderr is not None and not self._listener.is_alive():
            self.process.stderr.close()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        while block := os.read(self.process.stderr.fileno(), 1 << 16):
            self._kept = (self._kept + block)[-KEPT_STDERR_BYTES:]


class NoReply(Exception):
    """Why no answer came: what reading it raised, and whether the time was over. It never leaves the targets."""

    def __init__(self, reason: Exception, late: bool) -> None:
        super().__init__(str(reason))
        self.reason, self.late = reason, late


class Deadline:
    """Kills a process when the block takes longer than so many seconds."""

    def __init__(self, seconds: float | None, process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
        def end() -> None:
            late.set()
            process.kill()

        self._timer = None if seconds is None else threading.Timer(seconds, end)

    def __enter__(self) -> None:
        """Start the time."""
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *exception: object) -> None:
        """Stop it."""
        if self._timer is not None:
            self._timer.cancel()


def _progress(told: object) -> tuple[int, int]:
    numbers: list[Any] = told if isinstance(told, list) and len(told) == 2 else [None]
    if all(type(number) is int and 0 <= number <= LONGEST_NS for number in numbers):
        return numbers[0], numbers[1]
    raise EngineError(f"progress that is {str(told)[:80]!r}")


def _close_quietly(stream: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone: what was not delivered is lost on purpose."""
    try:
        stream.close()
    except OSError:
        return
