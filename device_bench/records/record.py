"""A record: one measurement, one JSON line, understood without any other file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import from_json

from device_bench.records.explanation import Explanation
from device_bench.records.machine import Machine
from device_bench.records.machine_state import MachineState
from device_bench.records.percentiles import Latency, summarize
from device_bench.records.plan import Plan
from device_bench.records.record_parts import (
    STAGES,
    Aggregates,
    ColdTimes,
    EndToEnd,
    EnergyUsed,
    EngineUsed,
    InputFed,
    Instructions,
    Measured,
    Memory,
    Samples,
    SelftestSeen,
    TargetUsed,
    Transfers,
    WarmupSeen,
)
from device_bench.records.record_types import Count, Positive
from device_bench.records.taints import Taint, taints
from edge.engines.table import COMPUTE_NOTHING
from edge.errors import FileError
from edge.strict import Strict, first_problem

SCHEMA_VERSION = 2
HIGHEST_VERSION = 1000  # what is more was never a version of ours


class Record(Strict):
    """One measurement.

    Attributes:
        run_id: the job: equal for everything that was measured in turn.
        position: place of this subject in the turn (`0 of 4` is [0, 4]).
        samples_ns: every measured query, in order. latency_ns: their order statistics; None exactly when the machine
            is emulated, whose time is no latency.
        aggregates: where the tool keeps no samples (`benchmark_model` on Android): what it printed of every round; then
            `samples_ns` is empty and there are no percentiles.
        samples_per_query: inferences behind one sample. throughput_per_s: inferences per second of the measured time;
            None in the scenario single-stream, and when emulated.
        inputs: what the model was fed; empty where a tool does not say.
        selftest: None where it was skipped or there is none, and for the null engine, which computes nothing.
        explanation: where the time goes, when the plan asked for it; else, and when it cannot be told, None.
        unexplained: why it cannot be told.
        states: the machine before, between the rounds, and after.
        taints: what forbids to take the figures as clean; they follow from the other fields.
    """

    schema_version: Literal[2]
    run_id: str
    target: TargetUsed
    measured: Measured
    engine: EngineUsed
    plan: Plan
    position: tuple[Count, Count]
    cold: ColdTimes
    warmup: WarmupSeen
    samples_ns: Samples
    samples_per_query: Positive
    inputs: tuple[InputFed, ...] = ()
    aggregates: Annotated[tuple[Aggregates, ...], Field(min_length=1)] | None = None
    latency_ns: Latency | None
    throughput_per_s: float | None = None
    transfers: Transfers | None = None
    end_to_end: EndToEnd | None = None
    memory: Memory = Memory()
    instructions: Instructions | None = None
    selftest: SelftestSeen | None
    explanation: Explanation | None = None
    unexplained: str | None = None
    machine: Machine
    states: Annotated[tuple[MachineState, ...], Field(min_length=2)]
    energy: EnergyUsed | None = None
    taints: tuple[Taint, ...]
    versions: dict[str, str]
    command: str
    time_utc: str

    @property
    def emulated(self) -> bool:
        """Whether a program played the processor: then no time in the record is a latency."""
        return self.machine.emulation is not None or self.engine.emulated is not None

    @property
    def runs(self) -> int:
        """Measured queries."""
        return sum(entry.runs for entry in self.aggregates or ()) or len(self.samples_ns)

    @property
    def mean_ns(self) -> int | None:
        """Mean over all rounds of a tool that keeps no samples; None where there are samples."""
        if self.aggregates is None:
            return None
        return sum(entry.runs * entry.mean_ns for entry in self.aggregates) // self.runs

    @property
    def before(self) -> MachineState:
        """The machine before the first round."""
        return self.states[0]

    @property
    def after(self) -> MachineState:
        """The machine after the last round."""
        return self.states[-1]

    @model_validator(mode="after")
    def _follows_from_the_samples(self) -> "Record":
        if bool(self.samples_ns) == bool(self.aggregates):
            raise ValueError(
                "samples_ns is empty" if not self.samples_ns else "samples_ns and aggregates exclude another"
            )
        if self.samples_per_query != self.plan.samples_per_query:
            raise ValueError(f"samples_per_query is not the plan's {self.plan.samples_per_query}")
        if self.latency_ns != latency_of(self.samples_ns, self.emulated):
            raise ValueError("latency_ns does not follow from samples_ns")
        expected = throughput(self.samples_ns, self.plan, self.emulated)
        if not _equal(self.throughput_per_s, expected):
            raise ValueError("throughput_per_s does not follow from samples_ns")
        if self.transfers is not None and not (
            len(self.transfers.to_device_ns) == len(self.transfers.to_host_ns) == len(self.samples_ns)
        ):
            raise ValueError("transfers are not one per sample")
        if self.end_to_end is not None and self.end_to_end.total_ns != total_of(self.end_to_end, self.emulated):
            raise ValueError("end_to_end.total_ns does not follow from its stages")
        if (self.explanation is not None) + (self.unexplained is not None) != self.plan.explain:
            raise ValueError("explanation and unexplained do not answer to plan.explain")
        if self.emulated and self.explanation is not None:
            raise ValueError("an emulated machine's time is explained")
        return self

    @model_validator(mode="after")
    def _taints_follow_from_the_rest(self) -> "Record":
        if self.taints != record_taints(self):
            raise ValueError("taints do not follow from machine, engine, plan and states")
        return self


def complete(**fields: Any) -> Record:
    """A record of all its fields but `latency_ns`, `throughput_per_s` and `taints`, which follow from the others."""
    return Record.model_validate(rederived(Record.model_construct(**fields)).__dict__)


def record_taints(record: Record) -> tuple[Taint, ...]:
    """What forbids to take a record's figures as clean."""
    return taints(
        record.machine,
        record.states,
        threads=record.plan.threads,
        emulated=record.engine.emulated,
        self_tested=record.selftest is not None or record.engine.engine in COMPUTE_NOTHING,
        unsettled=_unsettled(record),
    )


def _unsettled(record: Record) -> tuple[int, int] | None:
    """Queries and duration of a warm-up without an end; emulated time is none, and a tool of averages does not say."""
    if record.warmup.stable or record.emulated or record.aggregates is not None:
        return None
    return record.warmup.runs, record.warmup.duration_ns


def rederived(record: Record) -> Record:
    """A record whose other fields were changed, with latency, throughput and taints as they follow from them."""
    return record.model_copy(
        update={
            "latency_ns": latency_of(record.samples_ns, record.emulated),
            "throughput_per_s": throughput(record.samples_ns, record.plan, record.emulated),
            "taints": record_taints(record),
        }
    )


def latency_of(samples_ns: Sequence[int], emulated: bool) -> Latency | None:
    """Order statistics of samples; None on an emulated machine, and where a tool kept no samples."""
    return None if emulated or not samples_ns else summarize(samples_ns)


def throughput(samples_ns: Sequence[int], plan: Plan, emulated: bool) -> float | None:
    """Inferences per second of the measured time, for the scenarios that are about it."""
    if emulated or plan.scenario == "single-stream":
        return None
    return len(samples_ns) * plan.samples_per_query * 1e9 / max(sum(samples_ns), 1)


def total_of(measured: EndToEnd, emulated: bool) -> Latency | None:
    """Order statistics of the sums over the stages; None on an emulated machine and where there are no stages.

    Raises:
        ValueError: the stages are not STAGES, or not equally long.
    """
    if measured.missing is not None and not measured.stages:
        return None
    if tuple(measured.stages) != STAGES or len({len(samples) for samples in measured.stages.values()}) != 1:
        raise ValueError(f"end_to_end.stages are not {', '.join(STAGES)}, equally long")
    return latency_of([sum(run) for run in zip(*measured.stages.values(), strict=True)], emulated)


def _equal(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-9)


def record_line(record: Record) -> str:
    """The record as one line of JSON, without the line's end."""
    return record.model_dump_json()


def parse_records(text: str, path: str | Path) -> list[Record]:
    """Read records from JSON lines, which end at a newline and at nothing else; empty lines are skipped.

    Raises:
        FileError: a line that is not a record, named with its number and its first wrong key.
    """
    return [parse_line(line, number, path) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def parse_line(line: str, number: int, path: str | Path) -> Record:
    """Read one record. Refuses (FileError) what is none, with the line's number and the first wrong key."""
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        version = _schema_version(line)
        if version is not None and version != SCHEMA_VERSION:
            told = f"line {number} is a record of schema {version}, this version reads {SCHEMA_VERSION}: measure again"
            raise FileError(path, told) from error
        raise FileError(path, f"line {number} is not a record: {first_problem(error, Record)}") from error


def _schema_version(line: str) -> int | None:
    try:
        fields = from_json(line)
    except ValueError:
        return None
    version = fields.get("schema_version") if isinstance(fields, dict) and "measured" in fields else None
    return version if type(version) is int and 0 < version < HIGHEST_VERSION else None


def record_schema() -> dict[str, Any]:
    """JSON Schema of a record, for readers in other languages."""
    return Record.model_json_schema()
