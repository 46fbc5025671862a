"""The same measurement on several devices at once: one thread per device, never two jobs on one device."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from device_bench.bench.bench import NO_READERS, FileReaders, measure_job, plan_job
from device_bench.jobs.job import Job
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.targets.target import Progress, Target
from edge.artifact.manifest import Artifact
from edge.errors import EdgeError, Interrupted, UsageError, printable

Done = Callable[[list[Record]], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What came of one device.

    Attributes:
        records: one per subject that was measured.
        errors: why others were not, or all of it failed; anything but an EdgeError is a defect of ours.
        resumed: the records stood there already and nothing was measured.
    """

    target: str
    records: tuple[Record, ...]
    errors: tuple[Exception, ...] = ()
    resumed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What is measured on every device.

    Attributes:
        readers: as of `device_bench.bench.bench.plan_job`.
        held: records of an earlier call: where they answer the same job on the same target, it is not run again.
    """

    opened: Sequence[Artifact | Path]
    engines: Sequence[str]
    plan: Plan
    command: str
    jpeg: bytes | None = None
    readers: FileReaders = NO_READERS
    held: Sequence[Record] = ()


def bench_fleet(
    targets: Sequence[Target], order: Order, *, done: Done, progress: Callable[[Target], Progress | None]
) -> list[Outcome]:
    """Measure on every target, in parallel; one that fails does not stop the others.

    Args:
        done: called with a device's records as soon as it is done, one call at a time.
        progress: the function that a target's progress is told to.

    Returns:
        One outcome per target, in their order.

    Raises:
        UsageError: the same target twice. Interrupted: by the user; every target was told to stop, and records of those
            that had finished were given to `done`.
    """
    names = [target.name for target in targets]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--on {twice[0]} is named twice; two jobs on one device would disturb each other")
    lock = threading.Lock()
    finished: list[str] = []

    def one(target: Target) -> Outcome:
        try:
            job = plan_job(order.opened, order.engines, order.plan, target, jpeg=order.jpeg, readers=order.readers)
            if earlier := held_records(order.held, job, target.name):
                return Outcome(target=target.name, records=tuple(earlier), resumed=True)
            found = measure_job(job, target, order.command, progress(target))
        except Exception as error:  # whatever it is: the other devices go on
            return Outcome(target=target.name, records=(), errors=(error,))
        try:
            with lock:
                done(list(found.records))
                finished.append(target.name)
        except EdgeError as error:  # they were measured all the same
            return Outcome(target=target.name, records=found.records, errors=(*found.errors, error))
        return Outcome(target=target.name, records=found.records, errors=found.errors)

    try:
        with ThreadPoolExecutor(max_workers=len(targets)) as pool:
            try:
                return list(pool.map(one, targets))
            except KeyboardInterrupt as error:
                raise Interrupted(_stopped(targets, finished)) from error
    finally:
        for target in targets:
            target.close()


def _stopped(targets: Sequence[Target], finished: Sequence[str]) -> str:
    """End what runs on the targets that have not finished; says what became of each."""
    told = [f"finished before: {', '.join(finished)}"] if finished else []
    for target in targets:
        if target.name in finished:
            continue
        try:
            target.stop()
        except EdgeError as error:
            told.append(str(error))
    return "; ".join(["interrupted", *told])


def held_records(held: Sequence[Record], job: Job, target: str) -> list[Record]:
    """The records of a whole earlier run of the same job on the same target, the latest one; else none."""
    found: dict[int, Record] = {}
    for record in held:
        if record.run_id == job.id and record.target.name == printable(target):
            found[record.position[0]] = record
    return [found[place] for place in sorted(found)] if len(found) == len(job.subjects) else []
