"""What `edge models --fit` does: candidates made, measured on a target, and decided about; what was done stays."""

import os
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_bench.bench.bench import measure_job, plan_job
from device_bench.bench.fitting import Budgets, Decision, Seen, fitting
from device_bench.records.machine import Machine
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.records.record_lines import append_records, read_records
from device_bench.records.record_parts import PublishedAccuracy
from device_bench.targets.emulated_arm64.target import KIND as EMULATED
from device_bench.targets.replies import probed
from device_bench.targets.target import Target
from edge.artifact.manifest import Artifact, open_artifact
from edge.artifact.model_file import ModelFile
from edge.cli.bench_counting import COUNTING
from edge.cli.bench_targets import open_targets
from edge.cli.fit_options import ALL, Asked
from edge.engines.table import DEVICE_ENGINES, EngineSpec, engine_spec
from edge.errors import EdgeError, EngineError, FileError, Interrupted, UsageError, printable
from edge.files.atomic import make_folder
from edge.files.bounded_file import exists
from edge.percentile import nearest_rank
from edge.predictor.choice import file_for
from edge.terminal import Bars

if TYPE_CHECKING:
    from edge.models.candidates import Candidate

RECORDS = "records.jsonl"
AT_ONCE = 3
"""How many are measured in turn in one job: a job costs a device about as long as a short measurement."""
COUNTED_AT_ONCE = 2
"""How many each emulated processor counts, one after the other: while one is made for one, another is counted."""
FAR_TIMES, FAR_COUNTS = 1.5, 1.1
"""Over its budget by so much, a network's larger relatives are not measured: times differ more than counts."""
FASTEST = 10
SHORT = Plan(
    rounds=3, warmup_runs=3, warmup_duration_ns=200_000_000, max_warmup_duration_ns=1_500_000_000,
    min_runs=24, min_duration_ns=600_000_000,
)  # fmt: skip
LONG = Plan(rounds=5, min_runs=50, min_duration_ns=2_000_000_000)
COUNTED = Plan(
    rounds=COUNTING["rounds"], warmup_runs=COUNTING["warmup_runs"], min_runs=COUNTING["min_runs"],
    warmup_duration_ns=0, max_warmup_duration_ns=0, min_duration_ns=0,
)  # fmt: skip
"""As `edge bench` counts: what is listed is counted there to the same figure."""

Decided = Decision["Candidate"]


@dataclass(kw_only=True, eq=False)
class Fitter:
    """Makes candidates and measures them, unless both was done before.

    Attributes:
        folder: artifacts lie in a folder of it for each state of the code, records in RECORDS.
        targets: the one; of an emulated processor, whose counts nothing disturbs, as many as there are cores here.
        machine: the target's, which a record of before must be of.
        records: candidate's name -> its record. artifacts: likewise.
    """

    targets: Sequence[Target]
    machine: Machine
    spec: EngineSpec
    asked: Asked
    folder: Path
    threads: int
    command: str
    held: list[Record] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def target(self) -> Target:
        """Where it is measured."""
        return self.targets[0]

    @property
    def counts(self) -> bool:
        """Whether instructions are counted instead of time."""
        return self.target.kind == EMULATED

    def artifact(self, candidate: "Candidate") -> Artifact:
        """The candidate's artifact, made unless this code made it before."""
        from converters.convert.code_hash import code_sha256
        from converters.convert.untrained import untrained_artifact

        with self.lock:  # random weights come out of one generator
            if candidate.name not in self.artifacts:
                made_by = self.folder / f"networks-{code_sha256()[:12]}"
                make_folder(made_by)
                folder = made_by / candidate.name
                self.artifacts[candidate.name] = (
                    _kept(folder)
                    if exists(folder)
                    else untrained_artifact(candidate.model, candidate.arguments, folder, head=candidate.head)
                )
            return self.artifacts[candidate.name]

    def file(self, candidate: "Candidate") -> ModelFile:
        """What runs of its artifact."""
        return file_for(self.artifact(candidate), self.spec.engine, self.spec.kernels)

    def measure(self, batch: "Sequence[Candidate]", longer: bool) -> list[Seen]:
        """Make candidates and measure those that are no larger than the budget; see `fitting`.

        Raises:
            EngineError: the target, or its runtime, measures nothing.
        """
        shares = [batch[place :: len(self.targets)] for place in range(len(self.targets))]
        pairs = [pair for pair in zip(self.targets, shares, strict=True) if pair[1]]
        with ThreadPoolExecutor(max_workers=len(pairs)) as pool:
            try:
                found = list(pool.map(lambda pair: self._measure_on(pair[0], pair[1], longer), pairs))
            except BaseException:
                for target in self.targets:
                    target.stop()
                raise
        seen = {name: its for share in found for name, its in share.items()}
        return [seen[one.name] for one in batch]

    def _measure_on(self, target: Target, batch: "Sequence[Candidate]", longer: bool) -> dict[str, Seen]:
        limit = self.asked.size_bytes
        plan = COUNTED if self.counts else (LONG if longer else SHORT)
        plan = plan.model_copy(update={"threads": self.threads, "kernels": self.spec.kernels})
        unmade = self._unmade(batch)
        made = [one for one in batch if one.name not in unmade]
        within = [one for one in made if limit is None or self.file(one).size_bytes <= limit]
        missing = [one for one in within if not self._known(one, plan)]
        problems: list[str] = []
        if missing:
            job = plan_job([self.artifact(one) for one in missing], [self.spec.engine], plan, target)
            found = measure_job(job, target, self.command)
            fresh = [self._described(record, missing) for record in found.records]
            with self.lock:
                append_records(self.folder / RECORDS, fresh)
                self.held += fresh
            problems = [str(error) for error in found.errors]
        seen = {one.name: self._seen(one, plan, one in within, problems) for one in made}
        return seen | {
            one.name: Seen(size_bytes=one.weights, problem=unmade[one.name]) for one in batch if one not in made
        }

    def _unmade(self, batch: "Sequence[Candidate]") -> dict[str, str]:
        """Make the artifacts; of those that cannot be made, by name, why."""
        problems = {}
        for candidate in batch:
            try:
                self.artifact(candidate)
            except (UsageError, FileError):
                raise  # an option that holds for no candidate; a disk or a folder that takes no other one either
            except EdgeError as error:
                problems[candidate.name] = str(error)
        return problems

    def _known(self, candidate: "Candidate", plan: Plan) -> bool:
        """Whether the same file was measured like this, by the same code on the same machine; takes its record."""
        sha256 = self.file(candidate).sha256
        for record in reversed(self.held):
            if (
                record.measured.file_sha256 == sha256
                and record.plan == plan
                and record.engine.engine == self.spec.engine
                and record.target.name == printable(self.target.name)
                and record.target.agent_sha256 == self.target.agent_sha256
                and record.machine == self.machine
            ):
                self.records[candidate.name] = record
                return True
        return False

    def _described(self, record: Record, batch: "Sequence[Candidate]") -> Record:
        """A record with what was published of networks like its own."""
        candidate = next(one for one in batch if self.file(one).sha256 == record.measured.file_sha256)
        figure = candidate.published
        told = figure and PublishedAccuracy(metric=figure.metric, value=figure.value, source=figure.source)
        measured = record.measured.model_copy(update={"candidate": True, "published": told})
        return record.model_copy(update={"measured": measured})

    def _seen(self, candidate: "Candidate", plan: Plan, within: bool, problems: Sequence[str]) -> Seen:
        size_bytes = self.file(candidate).size_bytes
        if not within:
            return Seen(size_bytes=size_bytes)
        if not self._known(candidate, plan):
            told = next((text for text in problems if candidate.name in text), problems[0] if problems else None)
            return Seen(size_bytes=size_bytes, problem=told or "was not measured")
        record = self.records[candidate.name]
        return Seen(size_bytes=size_bytes, cost=cost_of(record, self.asked.percentile), least=least_of(record))


def _kept(folder: Path) -> Artifact:
    """An artifact that was made before. Refuses (FileError) a damaged one, which the same command would make again."""
    try:
        return open_artifact(folder)
    except FileError as error:
        raise FileError(error.path, f"{error.problem}; delete the folder {folder}, and it is made again") from error


def cost_of(record: Record, percentile: int) -> int:
    """What a record says for the budget: instructions, else nanoseconds; a tool that keeps no samples has the mean."""
    if record.instructions is not None:
        return record.instructions.per_inference
    if record.mean_ns is not None:
        return record.mean_ns
    return nearest_rank(sorted(record.samples_ns), percentile)


def least_of(record: Record) -> int:
    """Instructions, or what the fastest tenth of the runs took at most; of averages the best round's."""
    if record.aggregates is not None:
        return min(entry.mean_ns for entry in record.aggregates)
    return cost_of(record, FASTEST)


def limits_of(fitter: Fitter) -> Budgets:
    """The budgets with the margins of the target."""
    asked, far = fitter.asked, FAR_COUNTS if fitter.counts else FAR_TIMES
    return Budgets(cost=asked.cost, size_bytes=asked.size_bytes, margin=asked.margin, far=far)


def fit(names: Sequence[str], asked: Asked, options: Mapping[str, Any]) -> tuple[list[Decided], Fitter]:
    """Decide about every candidate, the most capable first.

    Raises:
        UsageError: candidates or options that do not hold. EngineError: the target cannot be reached, or has no engine.
        Interrupted: by the user; the same command goes on.
    """
    from edge.models.attention import ATTENTION  # bring torch
    from edge.models.candidates import candidates, most_capable_first

    attention = tuple(ATTENTION) if ALL in options["attention"] else options["attention"]
    found = candidates(
        options["task"],
        models=names,
        classes=options["classes"],
        widths=options["widths"],
        sizes_hw=options["sizes_hw"] or (),
        attention=attention,
        heads=options["heads"] or (None,),
    )
    folder: Path = options["folder"]
    make_folder(folder)
    records = folder / RECORDS
    held = read_records(records) if exists(records) else []
    [target] = targets = open_targets(options["on"], dict(options))
    try:
        reply = probed(target)
        if target.kind == EMULATED:
            for _ in range(1, os.cpu_count() or 1):
                targets += open_targets(options["on"], dict(options))
        fitter = Fitter(
            targets=targets,
            machine=reply.machine,
            spec=engine_spec(options["engine"] or _preferred(target, reply.engines)),
            asked=asked,
            folder=folder,
            threads=options["threads"],
            command=printable(shlex.join(["edge", *sys.argv[1:]])),
            held=held,
        )
        return _decided(fitter, most_capable_first(found), options), fitter
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; what was measured stands in {records}: the same command goes on") from error
    finally:
        for target in targets:
            target.close()


def _preferred(target: Target, installed: Sequence[str]) -> str:
    for engine in DEVICE_ENGINES:
        if engine in installed:
            return engine
    raise EngineError(f"{target.name}: no engine is installed there; see edge bench --prepare")


def _decided(fitter: Fitter, found: "Sequence[Candidate]", options: Mapping[str, Any]) -> list[Decided]:
    with Bars() as progress:
        task = progress.add_task("candidates", total=len(found))
        open_ = {one.name for one in found}

        def done(decisions: Sequence[Decided]) -> None:
            open_.difference_update(decision.network.name for decision in decisions)
            progress.update(task, completed=len(found) - len(open_))

        def measure(batch: "Sequence[Candidate]", longer: bool) -> list[Seen]:
            progress.update(task, description=f"{fitter.target.name}: {batch[0].name}")
            return fitter.measure(batch, longer)

        at_once = COUNTED_AT_ONCE * len(fitter.targets) if fitter.counts else AT_ONCE
        return fitting(found, limits_of(fitter), measure, at_once=at_once, everything=options["everything"], done=done)
