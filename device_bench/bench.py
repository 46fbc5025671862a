"""Measure artifacts with engines on this machine: load, self-test, interleaved runs, records."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from device_bench.machine import Machine, read_machine
from device_bench.machine_state import MachineState, read_state
from device_bench.measure import Clock, Progress, Subject, measure, timed
from device_bench.plan import Plan
from device_bench.record import Record, latency_of, throughput
from device_bench.record_parts import ColdTimes, EngineUsed, Measured, SelftestSeen, TargetUsed, WarmupSeen
from device_bench.taints import taints
from device_bench.versions import package_versions
from edge.artifact import MANIFEST_NAME, Artifact, ModelFile, file_sha256
from edge.errors import EngineError
from edge.runtime.choice import choose_engine, file_for
from edge.runtime.engine import ENGINES, Port, Session, open_session
from edge.runtime.selftest import model_input, read_selftest, run_selftest, selftest_images

# The package behind an engine: imported before a load is timed, so that the first load is not the package's.
RUNTIME_PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        "litert": "ai_edge_litert.interpreter",
        "tflite-runtime": "tflite_runtime.interpreter",
        "onnxruntime": "onnxruntime",
        "torch": "torch",
    }
)
Opener = Callable[..., Session]
States = Callable[[], MachineState]


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """One artifact loaded with one engine, its cold times taken and its self-test passed."""

    artifact: Artifact
    file: ModelFile
    subject: Subject
    load_ns: int
    first_inference_ns: int
    selftest: SelftestSeen | None


def bench(
    artifacts: Sequence[Artifact],
    engines: Sequence[str],
    plan: Plan,
    *,
    command: str,
    selftest: bool = True,
    clock: Clock = time.perf_counter_ns,
    states: States = read_state,
    opener: Opener = open_session,
    progress: Progress | None = None,
) -> list[Record]:
    """Measure every artifact with every engine, in turn.

    Args:
        engines: keys of ENGINES; none takes for every artifact the engine that a Predictor would take.
        command: kept in the record.
        selftest: False measures without proving that the runtime computes the right thing; the record says so.

    Returns:
        One record per artifact and engine, artifact by artifact.

    Raises:
        EngineError: a runtime is missing, refuses a file, or fails the self-test.
        UsageError: unknown engine.
    """
    loaded = [
        load(artifact, engine, plan, selftest=selftest, clock=clock, opener=opener)
        for artifact in artifacts
        for engine in (engines or (choose_engine(artifact),))
    ]
    machine = read_machine()
    before = states()
    samples_ns = measure([entry.subject for entry in loaded], plan, clock=clock, progress=progress)
    after = states()
    return [
        _record(entry, samples, plan, (place, len(loaded)), machine, before, after, command)
        for place, (entry, samples) in enumerate(zip(loaded, samples_ns, strict=True))
    ]


def load(
    artifact: Artifact,
    engine: str,
    plan: Plan,
    *,
    selftest: bool = True,
    clock: Clock = time.perf_counter_ns,
    opener: Opener = open_session,
) -> Loaded:
    """Load an artifact with an engine, take the cold times, and run the self-test unless it is skipped."""
    file = file_for(artifact, engine)
    path = artifact.file(file.path)
    _import_runtime(engine)
    opening = timed(lambda: opener(engine, path, threads=plan.threads, kernels=plan.kernels), clock)
    session: Session = opening.value
    inputs = [_first_input(artifact, file, session.inputs[0])]
    first = timed(lambda: session.run(inputs), clock)
    seen = _selftest(artifact, file, session) if selftest and engine != "null" else None
    return Loaded(
        artifact=artifact,
        file=file,
        subject=Subject(session=session, inputs=inputs),
        load_ns=opening.duration_ns,
        first_inference_ns=first.duration_ns,
        selftest=seen,
    )


def _import_runtime(engine: str) -> None:
    if engine in ENGINES:
        import_module(ENGINES[engine][0])
    if engine in RUNTIME_PACKAGES:
        with suppress(ImportError):  # the opener refuses a missing runtime, with what to install
            import_module(RUNTIME_PACKAGES[engine])


def _first_input(artifact: Artifact, file: ModelFile, port: Port) -> npt.NDArray[Any]:
    """The first image of the self-test as the file's raw input: real data, not zeros."""
    images = selftest_images(artifact, read_selftest(artifact))[:1]
    raw = model_input(images, file, artifact.manifest.preprocess)
    if raw.shape != port.shape:
        raise EngineError(f"{artifact.folder}: {file.path} takes {port.shape}, its self-test holds {raw.shape}")
    return raw


def _selftest(artifact: Artifact, file: ModelFile, session: Session) -> SelftestSeen:
    result = run_selftest(artifact, file.path, session)
    if not result.passed:
        raise EngineError(
            f"{artifact.folder}: self-test of {file.path}: differs by {result.largest:g}, "
            f"{result.allowed:g} is allowed for {result.kernels}; no time of it would mean anything"
        )
    return SelftestSeen(kernels=result.kernels, samples=result.samples, largest=result.largest, allowed=result.allowed)


def _record(
    entry: Loaded,
    samples_ns: list[int],
    plan: Plan,
    position: tuple[int, int],
    machine: Machine,
    before: MachineState,
    after: MachineState,
    command: str,
) -> Record:
    manifest, file, engine = entry.artifact.manifest, entry.file, entry.subject.session.info
    emulated = machine.emulation is not None or engine.emulated is not None
    return Record(
        schema_version=2,
        run_id="local",
        target=TargetUsed(kind="local", name="local"),
        measured=Measured(
            name=manifest.name,
            manifest_sha256=file_sha256(entry.artifact.folder / MANIFEST_NAME),
            file=file.path,
            file_sha256=file.sha256,
            size_bytes=file.size_bytes,
            precision=manifest.precision,
            task=manifest.task,
            multiply_adds=manifest.cost.multiply_adds,
            parameters=manifest.cost.parameters,
            weights_bytes=manifest.cost.weights_bytes,
            peak_activation_bytes=manifest.cost.peak_activation_bytes,
            unruled=manifest.cost.unruled,
        ),
        engine=EngineUsed(**asdict(engine)),
        plan=plan,
        position=position,
        cold=ColdTimes(import_ns=None, load_ns=entry.load_ns, first_inference_ns=entry.first_inference_ns),
        warmup=WarmupSeen(runs=plan.warmup_runs, duration_ns=plan.warmup_duration_ns, stable=False),
        samples_ns=tuple(samples_ns),
        samples_per_query=plan.samples_per_query,
        latency_ns=latency_of(samples_ns, emulated),
        throughput_per_s=throughput(samples_ns, plan, emulated),
        selftest=entry.selftest,
        machine=machine,
        states=(before, after),
        taints=taints(
            machine,
            (before, after),
            threads=plan.threads,
            emulated=engine.emulated,
            self_tested=entry.selftest is not None or engine.engine == "null",
        ),
        versions=package_versions(),
        command=command,
        time_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
