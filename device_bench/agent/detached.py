"""A job in a process of its own on the device: a cut connection does not end it.

Two processes: the one that measures, and one that sleeps until it has ended and then writes how. The report's space
is taken before the job begins, so that a full disk can still be reported. Both hold the device's lock.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_bench.agent.device_folder import unusable_files, write_whole
from edge.errors import EngineError

REPORT_BYTES = 4096
LONGEST_TEXT = 1500


def main(root: str, job_id: str) -> None:
    """Run the job that lies in the folder; called in a session of its own, with the locks open."""
    folder = Path(root) / "jobs" / job_id
    spec = json.loads((folder / "job.json").read_bytes())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os._exit(_measure(Path(root), folder, spec, writer))
    os.close(writer)
    (folder / "pid").write_text(str(child))
    said = b"".join(iter(lambda: os.read(reader, 1 << 16), b""))
    _, status = os.waitpid(child, 0)
    write_report(folder, {"exit": os.waitstatus_to_exitcode(status), **(json.loads(said) if said else {})})


def reserve_report(folder: Path) -> None:
    """Take the space that the report will need. Refuses (EngineError) a full disk."""
    write_whole(folder / "report", b" " * REPORT_BYTES)


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the report into its own space."""
    descriptor = os.open(folder / "report", os.O_WRONLY)
    try:
        os.pwrite(descriptor, json.dumps(report).encode()[:REPORT_BYTES].ljust(REPORT_BYTES), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_report(folder: Path) -> dict[str, Any]:
    """How the job ended; empty if nobody could say: the device was restarted, or both processes killed."""
    try:
        report = json.loads((folder / "report").read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _measure(root: Path, folder: Path, spec: Mapping[str, Any], writer: int) -> int:
    """The job, and its answer written; what goes wrong is told in one line. Returns the exit status."""
    try:
        # The default action of SIGALRM ends the process, in native code too; no thread watches the clock.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, spec["timeout_s"])
        if damaged := unusable_files(root, spec["files"]):
            raise EngineError(f"{damaged[0]} is damaged on the device; run again: it is sent anew")
        from device_bench.agent.run_job import run_job

        reply = run_job(
            spec["job"],
            root / "files",
            progress=lambda done, total: _tell(folder, done, total),
            begins=lambda file: write_whole(folder / "subject", file.encode()),
        )
        write_whole(folder / "answer.json", json.dumps(reply).encode())
    except Exception as error:  # whatever a native runtime raises: the other side decides
        text = " ".join(str(error).split()).replace(f"{root / 'files'}{os.sep}", "")
        told = {"error": text[:LONGEST_TEXT] or "no reason given", "kind": type(error).__name__}
        os.write(writer, json.dumps(told).encode())
        return 1
    return 0


def _tell(folder: Path, done: int, total: int) -> None:
    """Tell whoever waits; nobody has to."""
    try:
        pipe = os.open(folder / "progress", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # no reader
        return
    try:
        os.write(pipe, b"%d %d\n" % (done, total))
    except OSError:  # full, or the reader has just gone
        return
    finally:
        os.close(pipe)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
