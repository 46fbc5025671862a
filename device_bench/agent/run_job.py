"""Run a job: load its subjects, let them prove themselves, measure them in turn, and answer with raw numbers."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from device_bench.agent.explain_parts import Part, explained
from device_bench.agent.load import Loaded, load, model_path
from device_bench.agent.loop import Clock, Progress, Samples, Subject, loop_plan, measure
from device_bench.agent.readers import READERS, Readers
from device_bench.versions import package_versions
from edge.errors import EngineError
from edge.runtime.engine import Opener, installed_engines, open_session

JOB_VERSION = 1
STAGES = ("decode", "resize", "quantize", "infer", "postprocess")
STATE_INTERVAL_S = 1.0  # between two states that are taken during the measurement, at least


@dataclass(kw_only=True)
class StateLog:
    """The machine's states: before, between rounds, after."""

    read: Callable[[], dict[str, Any]]
    taken: list[dict[str, Any]]
    last_s: float = 0.0

    def take(self) -> None:
        """Now."""
        self.taken.append(self.read())
        self.last_s = time.monotonic()

    def between(self) -> None:
        """Now, unless the last one was just taken."""
        if time.monotonic() - self.last_s >= STATE_INTERVAL_S:
            self.take()


def probe(readers: Readers = READERS) -> dict[str, Any]:
    """What this Python and this machine are: JSON-ready."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "engines": list(installed_engines()),
        "machine": readers.machine(),
        "state": readers.state(),
        "versions": package_versions(),
    }


def run_job(
    job: Mapping[str, Any],
    folder: Path,
    *,
    opener: Opener = open_session,
    clock: Clock = time.perf_counter_ns,
    progress: Progress | None = None,
    readers: Readers = READERS,
) -> dict[str, Any]:
    """Run a job and answer with what was measured; `device_bench.collect` makes records of it.

    Args:
        job: the document of a `device_bench.job.Job`.
        folder: holds every file of the job, named HASH.FORMAT.
        progress: called between blocks only.

    Returns:
        A JSON-ready dict: `machine`, `states`, `versions`, and one entry of `subjects` per subject of the job.

    Raises:
        EngineError: a job of another version, a missing runtime, a refused file, a self-test beyond what is allowed.
    """
    if job.get("job_version") != JOB_VERSION:
        raise EngineError(f"a job of version {job.get('job_version')}; this agent runs version {JOB_VERSION}")
    plan = job["plan"]
    _bind(plan["affinity"])
    loaded: list[Loaded] = []
    subjects: list[Subject] = []
    ends: list[dict[str, Any] | None] = []
    for spec in job["subjects"]:
        entry = load(spec, plan, folder, opener, clock, first=not loaded)
        subject, end = _with_stages(entry, spec, plan, folder, clock)
        loaded.append(entry)
        subjects.append(subject)
        ends.append(end)
    log = StateLog(read=readers.state, taken=[])
    log.take()
    measured = measure(
        subjects, loop_plan(plan), stable=readers.stable, clock=clock, between=log.between, progress=progress
    )
    log.take()
    blocks = plan["rounds"] * len(subjects)

    def alive() -> None:
        if progress is not None:
            progress(blocks, blocks)

    parts = [
        None if spec["explain"] is None else explained(_part(entry, spec, plan, folder, opener, clock, alive), folder)
        for entry, spec in zip(loaded, job["subjects"], strict=True)
    ]
    return {
        "job_version": JOB_VERSION,
        "machine": readers.machine(),
        "states": log.taken,
        "versions": package_versions(),
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "subjects": [
            {**entry.facts, **_figures(samples, end), "explained": part}
            for entry, samples, end, part in zip(loaded, measured, ends, parts, strict=True)
        ],
    }


def _part(
    entry: Loaded,
    spec: Mapping[str, Any],
    plan: Mapping[str, Any],
    folder: Path,
    opener: Opener,
    clock: Clock,
    alive: Callable[[], None],
) -> Part:
    return Part(
        spec=spec,
        session=entry.session,
        inputs=entry.inputs,
        path=model_path(spec, folder),
        threads=plan["threads"],
        opener=opener,
        clock=clock,
        alive=alive,
    )


def _bind(processors: list[int] | None) -> None:
    """Bind this process, and every thread that it starts from now on, to processors."""
    if processors is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise EngineError("this system binds no process to processors; leave --affinity away")
    usable = os.sched_getaffinity(0)
    reason = ""
    try:
        os.sched_setaffinity(0, processors)
    except (OSError, ValueError) as error:
        reason = f" ({error})"
    if reason or os.sched_getaffinity(0) != set(processors):  # the system drops the processors that it lacks in silence
        listed = ",".join(str(number) for number in sorted(usable))
        asked = ",".join(str(number) for number in processors)
        raise EngineError(f"cannot be bound to the processors {asked}; usable here: {listed}{reason}")


def _with_stages(
    entry: Loaded, spec: Mapping[str, Any], plan: Mapping[str, Any], folder: Path, clock: Clock
) -> tuple[Subject, dict[str, Any] | None]:
    """The subject with its end-to-end stages where they are asked for, and the fields that describe them."""
    if not plan["end_to_end"]:
        return entry.subject, None
    asked = spec["end_to_end"]
    if "missing" in asked:
        return entry.subject, {"frame_hw": None, "encoded_bytes": 0, "missing": asked["missing"]}
    jpeg = (folder / f"{asked['jpeg_sha256']}.jpg").read_bytes()
    try:
        from device_bench.agent.stages import stages
    except ImportError as error:
        told = f"no cv2 on the device ({error})"
        return entry.subject, {"frame_hw": None, "encoded_bytes": len(jpeg), "missing": told}
    prepared = stages(asked, jpeg, entry.session, clock)
    described = {"frame_hw": list(prepared.frame_hw), "encoded_bytes": len(jpeg), "missing": None}
    return replace(entry.subject, stages=prepared.run), described


def _figures(samples: Samples, end: dict[str, Any] | None) -> dict[str, Any]:
    transfers = None
    if samples.to_device_ns:
        transfers = {"to_device_ns": samples.to_device_ns, "to_host_ns": samples.to_host_ns}
    if end is not None:
        columns = zip(*samples.stages_ns, strict=True) if samples.stages_ns else ()
        end = {**end, "stages": {name: list(column) for name, column in zip(STAGES, columns)}}  # noqa: B905
    return {
        "warmup": {
            "runs": samples.warmup_runs,
            "duration_ns": samples.warmup_duration_ns,
            "stable": samples.stable,
        },
        "samples_ns": samples.samples_ns,
        "transfers": transfers,
        "end_to_end": end,
    }
