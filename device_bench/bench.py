"""Measure subjects on a target: a job is made, run there, and its answer turned into records."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from device_bench.collect import records
from device_bench.explain_speed.spec import ExplainSpec
from device_bench.job import Job, make_job
from device_bench.plan import Plan
from device_bench.record import Record
from device_bench.subjects import Subject, make_subjects
from device_bench.targets.target import Progress, Target
from edge.artifact import Artifact
from edge.errors import EngineError

Explainer = Callable[[Subject], ExplainSpec]


def plan_job(
    opened: Sequence[Artifact | Path],
    engines: Sequence[str],
    plan: Plan,
    target: Target,
    *,
    jpeg: bytes | None = None,
    explainer: Explainer | None = None,
) -> Job:
    """The job for a target; which engines it has is asked only where none is named.

    Args:
        opened: artifacts and paths of bare model files. engines: `NAME[:KERNELS]`; none: what the target prefers.
        explainer: says how a subject is taken apart, or refuses it; needed where the plan says `explain`.
    """
    installed = () if engines else installed_there(target)
    subjects = make_subjects(opened, engines, plan, installed)
    if plan.explain and explainer is not None:
        subjects = [replace(subject, explain=explainer(subject)) for subject in subjects]
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
    explainer: Explainer | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """Measure every artifact and file with every engine on one target, in turn, in one job.

    Args:
        command: kept in the records. explainer: as of `plan_job`.

    Returns:
        One record per subject, artifact by artifact.

    Raises:
        EngineError: a runtime is missing, refuses a file, fails the self-test, or the target's answer does not hold.
        UsageError: unknown engine.
    """
    job = plan_job(opened, engines, plan, target, jpeg=jpeg, explainer=explainer)
    return records(job, target.run(job, progress), target, command=command)
