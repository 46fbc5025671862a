"""Measure subjects on a target: a job is made, run there, and its answer turned into records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device_bench.bench.collect import Collected, collected
from device_bench.explain.spec import ExplainSpec
from device_bench.jobs.job import Job, make_job
from device_bench.jobs.subjects import FileCounts, Subject, make_subjects, with_counts
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.targets.agent_process import SubjectCrashed
from device_bench.targets.replies import probed
from device_bench.targets.target import Progress, Target
from edge.artifact.manifest import Artifact
from edge.errors import EdgeError, EngineError, UsageError


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
    installed = () if engines else probed(target).engines
    subjects = [
        with_counts(subject, readers.count(subject.path)) for subject in make_subjects(opened, engines, plan, installed)
    ]
    if plan.explain and readers.explain is not None:
        subjects = [replace(subject, explain=readers.explain(subject)) for subject in subjects]
    return make_job(subjects, plan, jpeg=jpeg)


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
    found = measure_job(plan_job(opened, engines, plan, target, jpeg=jpeg, readers=readers), target, command, progress)
    if found.errors:
        raise found.errors[0]
    return list(found.records)


def measure_job(job: Job, target: Target, command: str, progress: Progress | None = None) -> Collected:
    """Run a job on a target: a record or an error for every subject, the model files named as the user did.

    A subject that ends the process there is omitted, and the others are measured without it.

    Raises:
        EngineError, UsageError: nothing was measured.
    """
    crashed: list[EdgeError] = []
    while True:
        try:
            found = collected(job, target.run(job, progress), target, command=command)
            break
        except SubjectCrashed as error:
            crashed.append(EngineError(job.named(str(error))))
            rest = [subject for subject in job.subjects if subject.file_name != error.file]
            if not 0 < len(rest) < len(job.subjects):
                raise crashed[-1] from error
            job = job.without(error.file)
        except (EngineError, UsageError) as error:
            raise type(error)(job.named(str(error))) from error
    named = (type(error)(job.named(str(error))) for error in found.errors)
    return Collected(records=found.records, errors=(*crashed, *named))
