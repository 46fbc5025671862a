"""Official INT8 files beside our own of the same architecture: x86 time, and instructions on ARM.

    python -m tests.benchmarks.official FILE_OR_ARTIFACT... [--userland FOLDER] [--cpu CORE]...

Times are taken in turn (A B A B ...) in one job on this machine with LiteRT and one thread; instructions with the same
runtime on every core of the emulated userland. Prints a Markdown table, in the order given. A time with a `~` was
disturbed: the lines below the table say by what.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from device_bench.bench.bench import bench
from device_bench.jobs.subjects import open_subject
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.report.table import kernels_used, marked, milliseconds
from device_bench.targets.emulated_arm64.userland import CPUS
from device_bench.targets.target import TargetOptions, open_target
from edge.errors import EdgeError

ENGINE = "litert"
TIMING = Plan(selftest=True)
COUNTING = Plan(rounds=1, warmup_runs=1, warmup_duration_ns=0, max_warmup_duration_ns=0, min_runs=7, min_duration_ns=0)


def measured(paths: Sequence[Path], cpus: Sequence[str], userland: Path | None) -> tuple[list[Record], list[Record]]:
    """The timed records, one per path, and the counted ones, core by core."""
    opened = [open_subject(path) for path in paths]
    command = shlex.join(["python", "-m", "tests.benchmarks.official", *sys.argv[1:]])
    timed = bench(opened, [ENGINE], TIMING, open_target("local", TargetOptions()), command=command)
    counts: list[Record] = []
    for cpu in cpus:
        target = open_target("emulated-arm64", TargetOptions(cpu=cpu, userland=userland))
        counts += bench(opened, [ENGINE], COUNTING, target, command=command)
    return timed, counts


def table(timed: Sequence[Record], counts: Sequence[Record], cpus: Sequence[str]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| file | kernels | KiB | x86 p50, ms | p90 | " + " | ".join(f"{cpu}, M instructions" for cpu in cpus) + " |",
        "| --- " * (5 + len(cpus)) + "|",
    ]
    for place, record in enumerate(timed):
        latency = record.latency_ns
        times = ("", "") if latency is None else (latency.p50_ns, latency.p90_ns)
        cells = [marked(milliseconds(time), record) if isinstance(time, int) else time for time in times]
        for core in range(len(cpus)):
            counted = counts[core * len(timed) + place].instructions
            cells.append("" if counted is None else f"{counted.per_inference / 1e6:.2f}")
        name = record.measured.name
        lines.append(
            f"| {name} | {kernels_used(record)} | {record.measured.size_bytes / 1024:.0f} | {' | '.join(cells)} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 1 with one line where something cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.official", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_ARTIFACT")
    parser.add_argument("--userland", type=Path, help="folder of the emulated userland; its default if left away")
    parser.add_argument("--cpu", action="append", choices=list(CPUS), help="cores to count on")
    options = parser.parse_args(arguments)
    cpus = options.cpu or ["cortex-a72", "cortex-a76"]
    try:
        timed, counts = measured(options.paths, cpus, options.userland)
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(timed, counts, cpus)))
    for sentence in dict.fromkeys(taint.sentence for record in timed for taint in record.taints):
        print(f"~ {sentence}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
