"""Run a job of one subject in an emulator that counts instructions: every reading of the clock marks a place.

The emulator's plugin writes the count at every mark; the host takes differences. What the harness itself executes
between two readings is counted too, around a query that does nothing.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from device_bench.agent.loop import Progress, block
from device_bench.agent.run_job import run_job
from device_bench.agent.serve import serve as serve_messages
from edge.engines.framing import Ended, read_message, write_message
from edge.errors import EngineError

MARK = 0x65646765  # getpriority(MARK, tag): refused by the kernel, seen by instructions.c
MOST_MARKS = 1 << 17
HARNESS_RUNS = 9
PR_SET_PDEATHSIG = 1


class MarkingClock:
    """A clock in nanoseconds whose every reading is marked with its number."""

    def __init__(self) -> None:
        self._mark = ctypes.CDLL(None).getpriority
        self._times_ns = [0] * MOST_MARKS  # no list grows while instructions are counted
        self.readings = 0

    def __call__(self) -> int:
        """Now."""
        tag = self.readings
        if tag == MOST_MARKS:
            raise EngineError(f"more than {MOST_MARKS} readings of the clock; count fewer runs")
        self._times_ns[tag] = now_ns = time.perf_counter_ns()
        self.readings = tag + 1
        self._mark(MARK, tag)
        return now_ns

    def last_block(self, samples_ns: list[int]) -> int:
        """The tag that opens the last block of readings with exactly these samples."""
        for first in range(self.readings - 2 * len(samples_ns), -1, -1):
            times_ns = self._times_ns[first : first + 2 * len(samples_ns)]
            found = [end - start for start, end in zip(times_ns[::2], times_ns[1::2], strict=True)]
            if found == samples_ns:
                return first
        raise EngineError("the measured runs are not one block of readings")


def count_job(
    job: Mapping[str, Any],
    folder: Path,
    *,
    progress: Progress | None = None,
    begins: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """`run_job` for one subject in one round, with the tags of its marks.

    Returns:
        Its answer; the subject has `marks` too: `first` (tag) and `runs` of its samples, two marks each, and
        `harness_first`, `harness_runs` of a query that does nothing.
    """
    if len(job["subjects"]) != 1 or job["plan"]["rounds"] != 1:
        raise EngineError("instructions are counted for one subject in one round")
    clock = MarkingClock()
    reply = run_job(job, folder, clock=clock, progress=progress, begins=begins)
    samples_ns = reply["subjects"][0]["samples_ns"]
    first = clock.last_block(samples_ns)
    harness_first = clock.readings
    block(_nothing, clock, HARNESS_RUNS, 0, HARNESS_RUNS)
    reply["subjects"][0]["marks"] = {
        "first": first,
        "runs": len(samples_ns),
        "harness_first": harness_first,
        "harness_runs": HARNESS_RUNS,
    }
    return reply


def _nothing() -> None:
    """A query without an engine."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer messages as `device_bench.agent.serve` does, but count what a job executes, each in a process of its own.

    `{"do": "fork"}` opens a conversation, which the new process answers until `{"do": "end"}`. All begin in the same
    state, so that no count hangs on what was counted before; and what takes an emulator seconds, Python, numpy and this
    code, is started once. A conversation that ends by a signal ends this process likewise.
    """
    while True:
        try:
            header, _ = read_message(source)
        except Ended:
            return
        if header.get("do") != "fork":
            raise EngineError(f"a request to {str(header.get('do'))[:80]!r} outside a conversation")
        sink.flush()
        if (child := os.fork()) == 0:
            _converse(source, sink)
        _wait(child)


def _converse(source: BinaryIO, sink: BinaryIO) -> NoReturn:
    """One conversation, in the process made for it, which it ends."""
    status = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a runtime heeds no interrupt
    try:
        write_message(sink, {"answer": True}, b"{}")
        serve_messages(source, sink, run=count_job)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _wait(child: int) -> None:
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:  # interrupted: nothing of ours runs on
        os.kill(child, signal.SIGINT)
        os.waitpid(child, 0)
        raise
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    if os.WEXITSTATUS(status):
        sys.exit(os.WEXITSTATUS(status))
