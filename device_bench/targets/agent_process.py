"""A process with the agent in it: requests go to its standard input, answers come from its standard output."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from device_bench.agent.serve import FOLDER
from device_bench.targets.conversation import Conversation, NoReply, Tell
from edge.errors import EngineError, one_line
from edge.files.leftovers import temporary_folder

REPLY_SECONDS = 600.0
GRACE_SECONDS, STOP_SECONDS = 0.5, 5.0


class SubjectCrashed(EngineError):
    """The process ended while it worked on one subject; `file` is the subject's HASH.FORMAT."""

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message)
        self.file = file


class AgentProcess:
    """A running agent; a context manager that ends it.

    Args:
        command: starts it. name: opens every message. before: sent ahead of the first request, as it is.
        reply_seconds: how long it may be silent before it is ended; told progress starts the time anew.
        folder: give it a folder for its files that goes when it ends, however it does. Its name is of chance, and
            what an emulated processor executes may hang on that.

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
        reply_seconds: float = REPLY_SECONDS,
        folder: bool = True,
    ) -> None:
        self._before = before
        self._reply_seconds = reply_seconds
        self._held = ExitStack()  # the folder of its files: ours, so that it goes however the agent ends
        try:
            own = {FOLDER: str(self._held.enter_context(temporary_folder()))} if folder else {}
            told = os.environ if environment is None else environment
            self._talk = Conversation(command, name=name, environment={**told, **own})
        except OSError as error:
            self._held.close()
            raise EngineError(f"{name}: cannot be started: {error.strerror}") from error

    def __enter__(self) -> "AgentProcess":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self.close()

    def ask(self, request: Mapping[str, Any], payload: bytes = b"", progress: Tell | None = None) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            EngineError, UsageError: the agent's own, or there is no answer. SubjectCrashed: it died of one subject.
        """
        before, self._before = self._before, b""
        try:
            return self._talk.ask(request, payload, self._reply_seconds, progress, before=before)
        except NoReply as error:
            raise self._failure(error) from error

    def stop(self) -> None:
        """End the process, called from another thread: whoever waits for an answer is told that there is none.

        It is interrupted, so that it can remove its files, and killed where that takes too long. A terminal's Ctrl-C
        has reached it already; a second one would disturb it at that.
        """
        process = self._talk.process
        for end in (None, signal.SIGINT, signal.SIGKILL):
            if end is not None:
                process.send_signal(end)
            try:
                process.wait(timeout=GRACE_SECONDS if end is None else STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return

    def close(self) -> None:
        """End the process and free what it holds."""
        self._talk.close()
        self._held.close()

    def _failure(self, why: NoReply) -> EngineError:
        """Why there is no answer, with the last line that it wrote to standard error; it is ended."""
        status = self._talk.ended(1)
        lines = self._talk.said().strip().splitlines()
        said = f"; it said: {lines[-1].strip()}" if lines else ""
        name = self._talk.name
        if why.late:
            return EngineError(one_line(f"{name}: no answer within {self._reply_seconds:g} s{said}"))
        told = str(why.reason) if isinstance(why.reason, EngineError) else "it ended without an answer"
        ended = "" if status is None else f" (exit code {status})"
        if status is not None and status < 0 and self._talk.subject:
            message = one_line(f"{name}: {self._talk.subject}: {told}{ended}{said}")
            return SubjectCrashed(message, self._talk.subject)
        return EngineError(one_line(f"{name}: {told}{ended}{said}"))
