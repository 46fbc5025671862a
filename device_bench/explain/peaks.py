"""This machine's peaks out of raw times."""

from collections.abc import Mapping, Sequence
from statistics import median

from device_bench.explain.reply import ExplainedReply, TimedCopy
from device_bench.explain.spec import PeakFile
from device_bench.records.explanation import Bandwidth, Peaks

NANOSECONDS = 1e9
NAMES: Mapping[str, str] = {"int8": "int8", "float32": "float"}  # of a peak file -> of a peak


def peaks(files: Mapping[str, PeakFile], reply: ExplainedReply) -> Peaks:
    """The rates of the files that ran, and of the copies.

    A size's bandwidth is the best median that any number of threads reached; one that a larger size exceeds is raised
    to it, for what the larger reaches the smaller could.

    Raises:
        ValueError: no copy was timed.
    """
    rates: dict[str, float | None] = {}
    how: dict[str, str] = {}
    for name, file in files.items():
        times = reply.peaks_ns.get(name)
        rates[name] = file.multiply_adds * NANOSECONDS / max(median(times), 1) if times else None
        why = reply.refused.get(name, "not timed")
        how[NAMES[name]] = f"{file.words}, median of {len(times)}" if times else f"not measured: {why}"
    how["bandwidth"] = "numpy copies, bytes read and written; the working set is source and target together"
    return Peaks(
        int8_multiply_adds_per_s=rates.get("int8"),
        float_multiply_adds_per_s=rates.get("float32"),
        bandwidths=_bandwidths(reply.copies),
        how=how,
    )


def _bandwidths(copies: Sequence[TimedCopy]) -> tuple[Bandwidth, ...]:
    best: dict[int, float] = {}
    for copy in copies:
        moved = 2 * copy.bytes
        rate = moved * copy.copies * NANOSECONDS / max(median(copy.ns), 1)
        best[moved] = max(rate, best.get(moved, 0.0))
    if not best:
        raise ValueError("no copy was timed")
    found: list[Bandwidth] = []
    reached = 0.0
    for moved in sorted(best, reverse=True):
        reached = max(reached, best[moved])
        found.append(Bandwidth(working_set_bytes=moved, bytes_per_s=reached))
    return tuple(reversed(found))
