"""What one command used: `python -I -S child_usage.py REPORT.json COMMAND ...`, on one processor; Linux.

A process of its own, of the standard library alone: Linux counts the memory that a parent holds when it starts a
child to the child's largest. Written are the processor's and the clock's seconds and the largest resident size of the
command, its imports and its own children included. Leaves with the command's exit code.
"""

import json
import os
import subprocess
import sys
import time


def main(report: str, command: list[str]) -> int:
    """Run, wait and write."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    found = {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "wall_seconds": time.monotonic() - started,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 (pathlib would be the largest thing in here)
        json.dump(found, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
