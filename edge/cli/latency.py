"""Latency for the verdict: records of an artifact out of a file, or measured here, as findings."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from device_bench.bench.bench import bench
from device_bench.records.percentiles import summarize
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.records.record_lines import read_records
from device_bench.report.table import kernels_used
from device_bench.targets.local import LocalTarget
from edge.artifact.manifest import Artifact
from edge.artifact.thresholds import Limits
from edge.artifact.verdict import Finding
from edge.engines.table import COMPUTE_NOTHING
from edge.errors import EngineError, UsageError, printable
from edge.verification.checks.latency import LatencyMeasured, latency_finding, unjudged_latency

SHORT_PLAN = Plan(rounds=5, min_runs=50, min_duration_ns=1_000_000_000)
"""Half of what `edge bench` takes by default: about two seconds a model."""


def latency_findings(
    artifact: Artifact,
    limits: Limits,
    records: Path | None,
    *,
    engines: tuple[str, ...],
    kernels: str | None,
    allow_disturbed: bool,
) -> tuple[Finding, ...]:
    """Judge every engine's latest measurement of an artifact; nothing without a budget.

    Args:
        records: a file of `edge bench --json` or `-o`; None measures here, with a short plan.
        engines: with records: only theirs. Without: what is measured; none takes a Predictor's choice.

    Raises:
        UsageError: the file holds no record of this artifact. FileError: it holds something else than records.
    """
    budget_ns = limits.latency_budget_ns
    if budget_ns is None:
        if records is not None:
            raise UsageError("--records without a budget: say what is allowed with --latency-budget 30ms")
        return ()
    if records is not None:
        chosen, where = fitting_records(artifact, records, engines), ""
    else:
        plan = SHORT_PLAN.model_copy(update={"kernels": kernels})
        try:
            command = printable(shlex.join(["edge", *sys.argv[1:]]))
            chosen, where = bench([artifact], engines, plan, LocalTarget(), command=command), "this machine, "
        except EngineError as error:
            return (unjudged_latency("this machine", str(error), budget_ns, demanded=True),)
    measured = [from_record(record, where) for record in chosen]
    percentile = limits.latency_percentile
    return tuple(latency_finding(entry, budget_ns, percentile, allow_disturbed=allow_disturbed) for entry in measured)


def fitting_records(artifact: Artifact, path: Path, engines: Sequence[str] = ()) -> list[Record]:
    """The latest record of every machine, engine, kernel set and number of threads for the files of an artifact.

    Files are known by their hash. Records of an engine that computes nothing are passed over.
    """
    hashes = {file.sha256 for file in artifact.manifest.files if file.role == "run"}
    found: dict[tuple[object, ...], Record] = {}
    for record in read_records(path):
        engine = record.engine
        if (
            record.measured.file_sha256 in hashes
            and engine.engine not in COMPUTE_NOTHING
            and (engine.engine in engines or not engines)
        ):
            key = (record.machine.model_dump_json(), engine.engine, engine.kernels, engine.threads)
            found[key] = record
    if not found:
        named = f" with {', '.join(engines)}" if engines else ""
        raise UsageError(
            f"--records {path}: holds no measurement of {artifact.folder}{named} (its files' hashes count)"
        )
    return list(found.values())


def from_record(record: Record, where: str = "") -> LatencyMeasured:
    """A record as plain values. `where` goes before the machine's name."""
    machine, engine = record.machine, record.engine
    if record.aggregates is not None:
        raise UsageError(f"{record.target.name}: its record has averages only; a latency is judged by percentiles")
    latency = record.latency_ns or summarize(record.samples_ns)  # emulated: never judged, `emulated` says so
    name = machine.board or machine.processor or machine.architecture
    threads = f"{engine.threads} thread" + ("s" if engine.threads != 1 else "")
    return LatencyMeasured(
        subject=f"{record.measured.file} in {engine.engine} {engine.version} ({kernels_used(record)}, {threads})",
        machine=where + name,
        time_utc=record.time_utc,
        runs=latency.runs,
        percentiles_ns={50: latency.p50_ns, 90: latency.p90_ns, 99: latency.p99_ns},
        self_tested=record.selftest is not None,
        emulated=machine.emulation or engine.emulated,
        disturbances=tuple(taint.sentence for taint in record.taints if taint.kind not in ("emulated", "untested")),
    )
