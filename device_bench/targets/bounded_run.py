"""A program run to its end, with bounds on how long it takes and how much it prints."""

import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edge.errors import EngineError

MOST_BYTES = 16 << 20
KEPT_STDERR_BYTES = 8192
BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended: its exit code, what it printed, and the end of what it wrote to standard error."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Everything that it said, line by line: standard output first."""
        return [line.strip() for text in (self.out, self.err) for line in text.splitlines() if line.strip()]


def run_bounded(
    command: Sequence[str],
    *,
    name: str,
    seconds: float,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program.

    Args:
        name: opens the message where it prints over MOST_BYTES. given: its standard input.

    Raises:
        TimeoutError: it takes longer than so many seconds. EngineError: it prints over MOST_BYTES. OSError: it cannot
            be started. In all cases it is ended.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        end = time.monotonic() + seconds
        out = process.stdout.fileno()
        feeder = threading.Thread(target=_feed, args=(process, given), daemon=True)
        feeder.start()
        printed, said = b"", b""
        waited = [out, process.stderr.fileno()]
        try:
            while waited:
                ready, _, _ = select.select(waited, [], [], max(end - time.monotonic(), 0))
                if not ready:
                    raise TimeoutError
                for stream in ready:
                    block = os.read(stream, BLOCK_BYTES)
                    if not block:
                        waited.remove(stream)
                    elif stream == out:
                        printed += block
                    else:
                        said = (said + block)[-KEPT_STDERR_BYTES:]
                if len(printed) > MOST_BYTES:
                    raise EngineError(f"{name}: it prints more than {MOST_BYTES} bytes; it was ended")
                if waited and time.monotonic() > end:
                    raise TimeoutError
            status = process.wait(timeout=max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        finally:
            process.kill()
            feeder.join(timeout=1)
    return Finished(status=status, out=printed.decode("utf-8", "replace"), err=said.decode("utf-8", "replace"))


def _feed(process: "subprocess.Popen[bytes]", given: bytes) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it reads no more: its exit code says why
        process.stdin.write(given)
    with suppress(OSError):
        process.stdin.close()
