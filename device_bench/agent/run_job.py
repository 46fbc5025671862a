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
from device_bench.agent.load import Loaded, load, load_head, model_path
from device_bench.agent.loop import Clock, Progress, Samples, Subject, loop_plan, measure
from device_bench.agent.readers import READERS, Readers
from device_bench.agent.versions import package_versions
from edge.engines.engine import Opener, installed_engines, open_session
from edge.errors import EngineError, UsageError
from edge.vision.point_rend import STAGES as POINT_STAGES

JOB_VERSION = 1
LONGEST_TEXT = 1500
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
    begins: Callable[[str], None] | None = None,
    readers: Readers = READERS,
) -> dict[str, Any]:
    """Run a job and answer with what was measured; `device_bench.bench.collect` makes records of it.

    Args:
        job: the document of a `device_bench.jobs.job.Job`.
        folder: holds every file of the job, named HASH.FORMAT.
        progress: called between blocks only.
        begins: called with a subject's HASH.FORMAT before it is loaded and before it is warmed up, with nothing ("")
            afterwards: a native runtime may end this process.

    Returns:
        A JSON-ready dict: `machine`, `states`, `versions`, and one entry of `subjects` per subject of the job: None for
        one that failed, which is in `failures`. Where there is one subject, its failure is raised.

    Raises:
        EngineError: a job of another version, a missing runtime, a refused file, a self-test beyond what is allowed.
    """
    if job.get("job_version") != JOB_VERSION:
        raise EngineError(f"a job of version {job.get('job_version')}; this agent runs version {JOB_VERSION}")
    plan = job["plan"]
    _bind(plan["affinity"])
    tell = begins or _nobody
    specs = job["subjects"]
    loaded: list[Loaded] = []
    subjects: list[Subject] = []
    ends: list[dict[str, Any] | None] = []
    places: list[int] = []  # of those that are loaded
    failures: list[dict[str, Any]] = []
    for place, spec in enumerate(specs):
        tell(model_path(spec, folder).name)
        try:
            entry = load(spec, plan, folder, opener, clock, first=place == 0)
            subject, end = _with_stages(entry, spec, plan, folder, clock, opener)
        except Exception as error:  # whatever a native runtime raises
            failures.append(_failure(place, spec, folder, error, alone=len(specs) == 1))
            continue
        loaded.append(entry)
        subjects.append(subject)
        ends.append(end)
        places.append(place)
    log = StateLog(read=readers.state, taken=[])
    log.take()
    blocks = plan["rounds"] * len(subjects)

    def told(done: int, total: int) -> None:
        if done == 1:
            tell("")
        if progress is not None:
            progress(done, total)

    measured = measure(
        subjects,
        loop_plan(plan),
        stable=readers.stable,
        clock=clock,
        between=log.between,
        progress=told,
        begins=lambda index: tell(model_path(specs[places[index]], folder).name),
    )
    log.take()

    def alive() -> None:
        if progress is not None:
            progress(blocks, blocks)

    replies: list[dict[str, Any] | None] = [None] * len(specs)
    for place, entry, samples, end in zip(places, loaded, measured, ends, strict=True):
        spec = specs[place]
        if samples.failure is not None:
            failures.append(_failure(place, spec, folder, samples.failure, alone=len(specs) == 1))
            continue
        part = None
        if spec["explain"] is not None:
            part = explained(_part(entry, spec, plan, folder, opener, clock, alive), folder)
        replies[place] = {**entry.facts, **_figures(samples, end), "explained": part}
    return {
        "job_version": JOB_VERSION,
        "machine": readers.machine(),
        "states": log.taken,
        "versions": package_versions(),
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "subjects": replies,
        "failures": failures,
    }


def _nobody(file: str) -> None:
    """Nobody is told."""


def _failure(place: int, spec: Mapping[str, Any], folder: Path, error: Exception, *, alone: bool) -> dict[str, Any]:
    """Why a subject has no answer, its file named; raised where there is no other subject."""
    name = model_path(spec, folder).name
    text = " ".join(str(error).split()).replace(f"{folder}{os.sep}", "") or "no reason given"
    if not any(word in text for word in (name, spec["name"], spec["file"])):
        text = f"{name}: {text}"
    kind = UsageError if isinstance(error, UsageError) else EngineError
    if alone:
        raise kind(text) from error
    return {"place": place, "error": text[:LONGEST_TEXT], "kind": kind.__name__}


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
    entry: Loaded, spec: Mapping[str, Any], plan: Mapping[str, Any], folder: Path, clock: Clock, opener: Opener
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
    head = None
    if (pointed := asked.get("point_head")) is not None:
        head = load_head(pointed, plan, folder, opener)
    prepared = stages(asked, jpeg, entry.session, clock, head)
    described = {"frame_hw": list(prepared.frame_hw), "encoded_bytes": len(jpeg), "missing": None}
    return replace(entry.subject, stages=prepared.run), described


def _figures(samples: Samples, end: dict[str, Any] | None) -> dict[str, Any]:
    transfers = None
    if samples.to_device_ns:
        transfers = {"to_device_ns": samples.to_device_ns, "to_host_ns": samples.to_host_ns}
    if end is not None:
        columns = [list(column) for column in zip(*samples.stages_ns, strict=True)]
        end = {**end, "stages": dict(zip(STAGES, columns, strict=False))}
        if len(columns) > len(STAGES):
            end["points"] = dict(zip(POINT_STAGES, columns[len(STAGES) :], strict=True))
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
