"""Records out of a target's answer. The answer is distrusted: what does not hold is refused in one line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from device_bench.agent.loop import share
from device_bench.bench.energy import energy_used
from device_bench.explain.assemble import explanation
from device_bench.explain.reply import ExplainedReply
from device_bench.jobs.job import Job
from device_bench.jobs.subjects import Subject
from device_bench.records.blocks import rounds_taken
from device_bench.records.explanation import Explanation
from device_bench.records.machine import Machine
from device_bench.records.machine_state import MachineState
from device_bench.records.plan import Plan
from device_bench.records.record import SCHEMA_VERSION, Record, complete, total_of
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
    Precision,
    Samples,
    SelftestSeen,
    TargetUsed,
    Transfers,
    WarmupSeen,
)
from device_bench.records.record_types import Count, Whole
from device_bench.targets.replies import believed
from device_bench.targets.target import Target
from edge.engines.engine import EngineInfo
from edge.engines.output_difference import difference_allowed_here, kernel_key
from edge.engines.table import COMPUTE_NOTHING, known_kernels
from edge.errors import EdgeError, EngineError, UsageError, one_line, printable
from edge.predictor.selftest import shares_of
from edge.predictor.selftest_archive import read_selftest
from edge.strict import Strict, first_problem
from edge.vision.point_rend import STAGES as POINT_STAGES

WITHOUT_SAMPLES = ("adb",)  # kinds of targets whose tool prints averages only
INTEGER_PRECISIONS: Mapping[str, Precision] = {"int8": "int8", "uint8": "uint8", "int16": "int16x8"}


class PortSeen(Strict):
    """A port as the runtime showed it."""

    name: str
    shape: tuple[Count, ...]
    dtype: str
    scale: float | None
    zero_point: Whole | None


class InputSeen(PortSeen):
    """An input, and what kind of values it was fed; None where a tool does not say."""

    values: Literal["self-test", "random", "0 and 1"] | None = None

    def fed(self) -> InputFed | None:
        """As a record states it."""
        if self.values is None:
            return None
        return InputFed(name=self.name, shape=self.shape, dtype=self.dtype, values=self.values)


class EndToEndSeen(Strict):
    """The stages before their sums are taken."""

    frame_hw: tuple[Count, Count] | None
    encoded_bytes: Count
    missing: str | None
    stages: dict[str, Samples]
    points: dict[str, Samples] | None = None


class SubjectReply(Strict):
    """One subject of an answer."""

    info: EngineUsed
    inputs: tuple[InputSeen, ...]
    outputs: tuple[PortSeen, ...]
    cold: ColdTimes
    warmup: WarmupSeen
    samples_ns: Samples
    aggregates: Annotated[tuple[Aggregates, ...], Field(min_length=1)] | None = None
    transfers: Transfers | None
    memory: Memory
    selftest: SelftestSeen | None
    end_to_end: EndToEndSeen | None
    instructions: Instructions | None = None
    explained: ExplainedReply | None = None


class Failure(Strict):
    """Why a subject has no answer."""

    place: Count
    error: str
    kind: Literal["EngineError", "UsageError"]

    def as_error(self, where: str) -> EdgeError:
        """As an exception whose message opens with the target."""
        kind = UsageError if self.kind == "UsageError" else EngineError
        return kind(one_line(f"{where}: {self.error}"))


class Reply(Strict):
    """What a target answers to a job."""

    job_version: Literal[1]
    machine: Machine
    states: Annotated[tuple[MachineState, ...], Field(min_length=2)]
    versions: dict[str, str]
    time_utc: str
    energy: EnergyUsed | None = None
    subjects: tuple[SubjectReply | None, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The records of a job, in the order of its subjects, and why the other subjects have none."""

    records: tuple[Record, ...]
    errors: tuple[EdgeError, ...]


def collected(job: Job, reply: Mapping[str, Any], target: Target, *, command: str) -> Collected:
    """A record or an error for every subject of a job.

    Raises:
        EngineError: the answer is not one to this job: a wrong type, a missing field, counts that do not agree, a
            self-test that was not made.
    """
    where = target.name
    told = believed(Reply, reply, where)
    failures = {failure.place: failure for failure in told.failures}
    if len(told.subjects) != len(job.subjects):
        raise EngineError(f"{where}: its answer has {len(told.subjects)} subjects, the job {len(job.subjects)}")
    if set(failures) != {place for place, seen in enumerate(told.subjects) if seen is None}:
        raise EngineError(f"{where}: its answer does not hold: failures: not those of the subjects without an answer")
    used = TargetUsed(kind=target.kind, name=printable(where), agent_sha256=target.agent_sha256)
    found: list[Record] = []
    errors: list[EdgeError] = []
    for place, (subject, seen) in enumerate(zip(job.subjects, told.subjects, strict=True)):
        if seen is None:
            errors.append(failures[place].as_error(where))
            continue
        if (seen.aggregates is not None) != (target.kind in WITHOUT_SAMPLES):
            raise EngineError(f"{where}: {subject.measured.name}: averages and samples are mixed up in its answer")
        _check(subject, seen, job.plan, f"{where}: {subject.measured.name}")
        try:
            found.append(_record(job, told, seen, place, used, command))
        except ValidationError as error:  # what follows from its figures does not fit into a record
            raise EngineError(one_line(f"{where}: its answer does not hold: {first_problem(error, Record)}")) from error
    return Collected(records=tuple(found), errors=tuple(errors))


def records(job: Job, reply: Mapping[str, Any], target: Target, *, command: str) -> list[Record]:
    """One record per subject of a job. Raises (EdgeError) the first failure of a subject, and as `collected` does."""
    found = collected(job, reply, target, command=command)
    if found.errors:
        raise found.errors[0]
    return list(found.records)


def _record(job: Job, told: Reply, seen: SubjectReply, place: int, used: TargetUsed, command: str) -> Record:
    subject = job.subjects[place]
    emulated = told.machine.emulation is not None or seen.info.emulated is not None
    explanation, unexplained = _explanation(subject, seen, job.plan, emulated, f"{used.name}: {subject.measured.name}")
    return complete(
        schema_version=SCHEMA_VERSION,
        run_id=job.id,
        target=used,
        measured=_measured(subject, seen),
        engine=seen.info,
        plan=job.plan,
        position=(place, len(job.subjects)),
        cold=seen.cold,
        warmup=seen.warmup,
        samples_ns=seen.samples_ns,
        aggregates=seen.aggregates,
        samples_per_query=job.plan.samples_per_query,
        inputs=tuple(fed for port in seen.inputs if (fed := port.fed()) is not None),
        transfers=seen.transfers,
        end_to_end=_end_to_end(seen.end_to_end, emulated),
        memory=_memory(subject, seen),
        instructions=seen.instructions,
        selftest=seen.selftest,
        explanation=explanation,
        unexplained=unexplained,
        energy=energy_used(told.states, _inferences(job, told, seen)),
        machine=told.machine,
        states=told.states,
        versions=told.versions,
        command=command,
        time_utc=told.time_utc,
    )


def _explanation(
    subject: Subject, seen: SubjectReply, plan: Plan, emulated: bool, where: str
) -> tuple[Explanation | None, str | None]:
    """Where its time goes, or why that cannot be told."""
    if not plan.explain:
        return None, None
    if subject.explain is None or seen.explained is None:
        return None, "the target's answer has no times of its operators"
    if seen.explained.missing is not None:
        return None, seen.explained.missing
    if emulated:
        raise EngineError(f"{where}: times of operators on an emulated machine")
    engine = f"{seen.info.engine}:{seen.info.kernels}"
    return explanation(subject.explain, seen.explained, engine=engine, threads=plan.threads, where=where), None


def _inferences(job: Job, told: Reply, seen: SubjectReply) -> int | None:
    """All that ran between the first and the last state, openings of blocks too; None where it was not one model."""
    if len(told.subjects) != 1 or job.plan.end_to_end:
        return None
    return (len(seen.samples_ns) + job.plan.rounds) * job.plan.samples_per_query


def _measured(subject: Subject, seen: SubjectReply) -> Measured:
    """With the precision of a bare file, as far as its input shows it: an integer input with a scale, else unknown."""
    if subject.artifact is not None:
        return subject.measured
    if not seen.inputs:
        return subject.measured
    first = seen.inputs[0]
    precision = INTEGER_PRECISIONS.get(first.dtype) if first.scale is not None else None
    return subject.measured.model_copy(update={"precision": precision})


def _memory(subject: Subject, seen: SubjectReply) -> Memory:
    """With the arena that the built-in kernels plan; a delegate's memory is its own."""
    if not known_kernels(seen.info.engine, seen.info.kernels).plans_arena:
        return seen.memory
    return seen.memory.model_copy(update={"arena_bytes": subject.arena_bytes})


def _end_to_end(seen: EndToEndSeen | None, emulated: bool) -> EndToEnd | None:
    if seen is None:
        return None
    stages = {name: seen.stages[name] for name in STAGES if name in seen.stages}
    plain = EndToEnd(
        frame_hw=seen.frame_hw,
        encoded_bytes=seen.encoded_bytes,
        stages=stages,
        total_ns=None,
        missing=seen.missing,
        points=seen.points,
    )
    return plain.model_copy(update={"total_ns": total_of(plain, emulated)})


def _check(subject: Subject, seen: SubjectReply, plan: Plan, where: str) -> None:
    """Refuse what cannot be an answer to this subject and this plan."""
    if seen.info.engine != subject.engine:
        raise EngineError(f"{where}: {subject.engine} was asked for, {seen.info.engine} answered")
    if not seen.inputs and seen.aggregates is None:
        raise EngineError(f"{where}: the answer knows no input of the model")
    _check_counts(seen, plan, where)
    end = seen.end_to_end
    if (end is not None) != plan.end_to_end:
        raise EngineError(f"{where}: end-to-end stages were {'not ' * (not plan.end_to_end)}asked for")
    if end is not None and end.missing is None:
        lengths = {len(column) for column in end.stages.values()}
        if set(end.stages) != set(STAGES) or len(lengths) != 1 or 0 in lengths or end.frame_hw is None:
            raise EngineError(f"{where}: the end-to-end stages are not {', '.join(STAGES)}, equally long")
        _check_points(subject, end, lengths, where)
    if subject.artifact is not None and plan.selftest and subject.engine not in COMPUTE_NOTHING:
        _check_selftest(subject, seen, where)


def _check_points(subject: Subject, end: EndToEndSeen, lengths: set[int], where: str) -> None:
    headed = subject.artifact is not None and subject.artifact.manifest.point_head is not None
    found = {} if end.points is None else end.points
    if set(found) != set(POINT_STAGES if headed else ()) or {len(one) for one in found.values()} - lengths:
        raise EngineError(f"{where}: the point head's stages are not {', '.join(POINT_STAGES)}, one per run")


def _check_counts(seen: SubjectReply, plan: Plan, where: str) -> None:
    """As many samples as the loop takes by the plan, round by round."""
    if seen.aggregates is not None:
        count = sum(entry.runs for entry in seen.aggregates)
        if seen.samples_ns or count < plan.min_runs or len(seen.aggregates) != plan.rounds:
            raise EngineError(f"{where}: {count} runs in {len(seen.aggregates)} rounds, against the plan")
        return
    if not seen.samples_ns:
        raise EngineError(f"{where}: its answer has no samples")
    count = len(seen.samples_ns)
    if rounds_taken(seen.samples_ns, plan) is None:
        raise EngineError(
            f"{where}: {count} samples of {sum(seen.samples_ns)} ns in all; the plan asks for {plan.min_runs} to "
            f"{plan.rounds * share(plan.max_runs, plan.rounds)} and {plan.min_duration_ns} ns, in {plan.rounds} rounds "
            "that each end by their share"
        )
    if seen.transfers is not None and not (len(seen.transfers.to_device_ns) == len(seen.transfers.to_host_ns) == count):
        raise EngineError(f"{where}: the transfers are not one per sample")


def _check_selftest(subject: Subject, seen: SubjectReply, where: str) -> None:
    assert subject.artifact is not None and subject.file is not None
    found = seen.selftest
    if found is None and seen.aggregates is not None:
        return  # the record says `untested`
    if found is None:
        raise EngineError(f"{where}: the self-test was asked for, and the answer has none")
    info = EngineInfo(**seen.info.model_dump())
    kernels = kernel_key(info)
    manifest = subject.artifact.manifest.selftest
    arrays = read_selftest(subject.artifact)
    allowed = difference_allowed_here(
        manifest.allowed.get(subject.file.path, {}),
        info,
        [arrays[f"output_{subject.file.path}_{k}"] for k in subject.file.told],
        shares_of(subject.file),
    )
    if found.kernels != kernels or found.allowed != allowed or found.samples != manifest.samples:
        raise EngineError(
            f"{where}: a self-test of {found.samples} samples with {found.kernels}, {found.allowed:g} allowed; it "
            f"must be {manifest.samples} with {kernels}, {allowed:g} allowed"
        )
    if not 0 <= found.largest <= allowed:
        raise EngineError(f"{where}: self-test: differs by {found.largest:g}, {allowed:g} is allowed for {kernels}")
