"""A process with the agent in it: requests go to its standard input, answers come from its standard output."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, BinaryIO, cast

from edge.errors import EngineError, UsageError, one_line
from edge.runtime.framing import read_message, write_message

ANSWER_SECONDS = 600.0
GRACE_SECONDS, STOP_SECONDS = 0.5, 5.0
KEPT_STDERR_BYTES = 4096
MAX_ANSWER_BYTES = 1 << 28


class AgentProcess:
    """A running agent; a context manager that ends it.

    Args:
        command: starts it. name: opens every message. before: sent ahead of the first request, as it is.
        answer_seconds: how long it may be silent before it is ended; told progress starts the time anew.

    Raises:
        EngineError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        before: bytes = b"",
        environment: Mapping[str, str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._name = name
        self._before = before
        self._answer_seconds = answer_seconds
        self._said = b""
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
            )
        except OSError as error:
            raise EngineError(f"{name}: cannot be started: {error.strerror}") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "AgentProcess":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self.close()

    def ask(
        self, request: Mapping[str, Any], payload: bytes = b"", progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            EngineError, UsageError: the agent's own, or there is no answer.
        """
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        before, self._before = self._before, b""
        late = threading.Event()
        try:
            with _Deadline(self._answer_seconds, process, late):
                process.stdin.write(before)
                write_message(cast(BinaryIO, process.stdin), request, payload)
            while True:
                with _Deadline(self._answer_seconds, process, late):
                    header, data = read_message(cast(BinaryIO, process.stdout))
                if "progress" not in header:
                    break
                if progress is not None:
                    progress(*_progress(header["progress"]))
        except (OSError, ValueError, EngineError) as error:
            raise EngineError(f"{self._name}: {self._reason(error, late.is_set())}") from error
        if "error" in header:
            told = one_line(f"{self._name}: {header['error']}")
            raise UsageError(told) if header.get("kind") == "UsageError" else EngineError(told)
        return self._answer(data)

    def stop(self) -> None:
        """End the process, called from another thread: whoever waits for an answer is told that there is none.

        It is interrupted, so that it can remove its files, and killed where that takes too long. A terminal's Ctrl-C
        has reached it already; a second one would disturb it at that.
        """
        for end in (None, signal.SIGINT, signal.SIGKILL):
            if end is not None:
                self._process.send_signal(end)
            try:
                self._process.wait(timeout=GRACE_SECONDS if end is None else STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return

    def close(self) -> None:
        """End the process and free what it holds."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close_quietly(stream)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._listener.join(timeout=5)
        if process.stderr is not None and not self._listener.is_alive():
            process.stderr.close()

    def _answer(self, data: bytes) -> dict[str, Any]:
        if len(data) > MAX_ANSWER_BYTES:
            raise EngineError(f"{self._name}: an answer of {len(data)} bytes; at most {MAX_ANSWER_BYTES} are read")
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise EngineError(one_line(f"{self._name}: an answer that is no JSON: {error}")) from error
        if not isinstance(answer, dict):
            raise EngineError(f"{self._name}: an answer that is no object but {type(answer).__name__}")
        return answer

    def _reason(self, error: Exception, late: bool) -> str:
        """Why there is no answer, with the last line that it wrote to standard error; it is ended."""
        try:
            ended = f" (exit code {self._process.wait(timeout=1)})"
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            ended = ""
        self._listener.join(timeout=5)
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        said = one_line(f"; it said: {lines[-1]}") if lines else ""
        if late:
            return f"no answer within {self._answer_seconds:g} s{said}"
        told = str(error) if isinstance(error, EngineError) else "it ended without an answer"
        return f"{told}{ended}{said}"

    def _listen(self) -> None:
        assert self._process.stderr is not None
        while block := os.read(self._process.stderr.fileno(), 1 << 16):
            self._said = (self._said + block)[-KEPT_STDERR_BYTES:]


class _Deadline:
    """Kills a process when the block takes longer than so many seconds."""

    def __init__(self, seconds: float, process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
        def end() -> None:
            late.set()
            process.kill()

        self._timer = threading.Timer(seconds, end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()


def _progress(told: object) -> tuple[int, int]:
    if isinstance(told, list) and len(told) == 2 and all(type(number) is int and number >= 0 for number in told):
        return told[0], told[1]
    raise EngineError(f"progress that is {str(told)[:80]!r}")


def _close_quietly(stream: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone: what was not delivered is lost on purpose."""
    try:
        stream.close()
    except OSError:
        return
