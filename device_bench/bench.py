"""Measure subjects on a target: a job is made, run there, and its answer turned into records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device_bench.collect import records
from device_bench.explain_speed.spec import ExplainSpec
from device_bench.job import Job, make_job
from device_bench.plan import Plan
from device_bench.record import Record
from device_bench.subjects import FileCounts, Subject, make_subjects, with_counts
from device_bench.targets.target import Progress, Target
from edge.artifact import Artifact
from edge.errors import EngineError


@dataclass(frozen=True, kw_only=True)
class FileReaders:
    """What is read from model files on the host; measuring itself reads none.

    Attributes:
        count: a file's counts, None where it cannot be read. explain: how a subject is taken apart, or a refusal
            (UsageError); needed where the plan says `explain`.
    """

    count: Callable[[Path], FileCounts | None] = lambda path: None
    explain: Callable[[Subject], ExplainSpec] | None = None


NO_READERS = FileReaders()


def plan_job(
    opened: Sequence[Artifact | Path],
    engines: Sequence[str],
    plan: Plan,
    target: Target,
    *,
    jpeg: bytes | None = None,
    readers: FileReaders = NO_READERS,
) -> Job:
    """The job for a target; which engines it has is asked only where none is named.

    Args:
        opened: artifacts and paths of bare model files. engines: `NAME[:KERNELS]`; none: what the target prefers.
    """
    installed = () if engines else installed_there(target)
    subjects = [
        with_counts(subject, readers.count(subject.path)) for subject in make_subjects(opened, engines, plan, installed)
    ]
    if plan.explain and readers.explain is not None:
        subjects = [replace(subject, explain=readers.explain(subject)) for subject in subjects]
    return make_job(subjects, plan, jpeg=jpeg)


def installed_there(target: Target) -> tuple[str, ...]:
    """Engines that a target says it has. Refuses (EngineError) an answer without them."""
    told = target.probe().get("engines")
    if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
        raise EngineError(f"{target.name}: it does not say which engines it has")
    return tuple(told)


def bench(
    opened: Sequence[Artifact | Path],
    engines: Sequence[str],
    plan: Plan,
    target: Target,
    *,
    command: str,
    jpeg: bytes | None = None,
    readers: FileReaders = NO_READERS,
    progress: Progress | None = None,
) -> list[Record]:
    """Measure every artifact and file with every engine on one target, in turn, in one job.

    Args:
        command: kept in the records. readers: as of `plan_job`.

    Returns:
        One record per subject, artifact by artifact.

    Raises:
        EngineError: a runtime is missing, refuses a file, fails the self-test, or the target's answer does not hold.
        UsageError: unknown engine.
    """
    job = plan_job(opened, engines, plan, target, jpeg=jpeg, readers=readers)
    return records(job, target.run(job, progress), target, command=command)
