"""One subject of a job, loaded: its cold times taken, its self-test passed, its query bound."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_bench.agent.loop import Clock, Subject
from device_bench.agent.resident import PeakMemory
from edge.engines.emulation import emulator
from edge.engines.engine import DeviceSession, Opener, Session
from edge.engines.inputs import port_difference, without_batch
from edge.engines.null_session import NullSession
from edge.engines.onnxruntime_module import onnxruntime_module
from edge.engines.output_difference import difference_allowed_here, is_share, kernel_key, outputs_difference
from edge.engines.session import EngineSession
from edge.engines.table import COMPUTE_NOTHING, ENGINES
from edge.errors import EngineError
from edge.port import Port, port_of

INDEX_BYTES = 2  # images and quantized values have one
Arrays = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A subject ready to be measured; `facts` are the fields of its answer that are known before the loop."""

    session: Session
    inputs: Arrays
    subject: Subject
    facts: Mapping[str, Any]


def load(
    spec: Mapping[str, Any], plan: Mapping[str, Any], folder: Path, opener: Opener, clock: Clock, *, first: bool
) -> Loaded:
    """Load one subject.

    Args:
        spec: an entry of the job's subjects. folder: holds the job's files by hash.
        first: nothing was loaded in this process before.

    Raises:
        EngineError: missing runtime, refused file, or a self-test beyond the allowed difference.
    """
    import_ns = _import_runtime(spec["engine"], clock)
    memory = PeakMemory(first=first, emulated=emulator() is not None)
    start_ns = clock()
    session = _open(spec, plan, folder, opener)
    load_ns = clock() - start_ns
    _check_ports(spec, session)
    archive = _archive(spec, folder)
    inputs, values = _inputs(spec, session.inputs, archive)
    start_ns = clock()
    session.run(inputs)
    first_inference_ns = clock() - start_ns
    peak = memory.fields()  # before the engine is asked what it runs: some find out by running
    to_test = plan["selftest"] and archive and spec["engine"] not in COMPUTE_NOTHING
    facts = {
        "info": _info(session),
        "inputs": [{**port.plain, "values": how} for port, how in zip(session.inputs, values, strict=True)],
        "outputs": [port.plain for port in session.outputs],
        "cold": {"import_ns": import_ns, "load_ns": load_ns, "first_inference_ns": first_inference_ns},
        "memory": peak,
        "selftest": _selftest(spec, session, archive) if to_test else None,
    }
    return Loaded(
        session=session, inputs=inputs, subject=_subject(session, inputs, samples_per_query(plan)), facts=facts
    )


def load_head(spec: Mapping[str, Any], plan: Mapping[str, Any], folder: Path, opener: Opener) -> Session:
    """The point head beside a subject: of the manifest's ports, and its self-test passed, or EngineError as of that."""
    session = _open(spec, {**plan, "batch": None, "input_shapes": {}}, folder, opener)
    _check_ports(spec, session)
    archive = _archive(spec, folder)
    if plan["selftest"] and archive:
        _selftest(spec, session, archive)
    return session


def samples_per_query(plan: Mapping[str, Any]) -> int:
    """Inferences of one query, by the plan's scenario."""
    return int({"single-stream": 1, "multi-stream": plan["streams"], "offline": plan["samples"]}[plan["scenario"]])


def _import_runtime(engine: str, clock: Clock) -> int | None:
    """Nanoseconds that the import of the runtime took; None if it was there already, or there is none."""
    row = ENGINES.get(engine)
    if row is None or row.runtime in ("", *sys.modules):
        return None
    start_ns = clock()
    try:
        onnxruntime_module() if engine == "onnxruntime" else import_module(row.runtime)
    except ImportError:  # the opener refuses a missing runtime, with what to install
        return None
    import_module(row.opener[0])
    return clock() - start_ns


def _open(spec: Mapping[str, Any], plan: Mapping[str, Any], folder: Path, opener: Opener) -> Session:
    if spec["engine"] in COMPUTE_NOTHING:
        inputs, outputs = (tuple(map(port_of, ports)) for ports in spec["ports"])
        return NullSession(inputs=inputs, outputs=outputs, threads=plan["threads"])
    sizes: dict[str, Any] = {}
    if plan["batch"] is not None or plan["input_shapes"]:
        shapes = {name: tuple(shape) for name, shape in plan["input_shapes"].items()}
        sizes = {"batch": plan["batch"], "shapes": shapes}
    return opener(spec["engine"], model_path(spec, folder), threads=plan["threads"], kernels=spec["kernels"], **sizes)


def _check_ports(spec: Mapping[str, Any], session: Session) -> None:
    """Refuse (EngineError) a file of an artifact whose inputs and outputs are not those of the manifest."""
    if spec["ports"] is None:
        return
    for kind, told, found in zip(("inputs", "outputs"), spec["ports"], (session.inputs, session.outputs), strict=True):
        problem = port_difference(kind, [port_of(port) for port in told], found, scales_told=spec["format"] == "tflite")
        if problem is not None:
            raise EngineError(f"{spec['name']}: {spec['file']}: {problem}")
    if isinstance(session, EngineSession):
        session.give_batch([port_of(port) for port in spec["ports"][1]])


def model_path(spec: Mapping[str, Any], folder: Path) -> Path:
    """Where a subject's model file lies on the device."""
    return folder / f"{spec['file_sha256']}.{spec['format']}"


def _archive(spec: Mapping[str, Any], folder: Path) -> dict[str, npt.NDArray[Any]]:
    """`input_K` and `expected_K`, each with the samples as its first axis; empty for a bare model file."""
    if spec["inputs_sha256"] is None:
        return {}
    data = (folder / f"{spec['inputs_sha256']}.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _inputs(
    spec: Mapping[str, Any], ports: Sequence[Port], archive: Mapping[str, npt.NDArray[Any]]
) -> "tuple[Arrays, list[str]]":
    """What the model is fed, and what kind of values these are.

    The first sample of the self-test: real data, not zeros. For a bare file random values by the job's seed.
    """
    if not archive:
        generator = np.random.default_rng(spec["seed"])
        made = [_random(spec, port, generator) for port in ports]
        return [array for array, _ in made], [how for _, how in made]
    inputs = [without_batch(port, archive[f"input_{index}"][:1]) for index, port in enumerate(ports)]
    for port, array in zip(ports, inputs, strict=True):
        if array.shape != port.shape:
            raise EngineError(f"{spec['name']}: {spec['file']} takes {port.shape}, its self-test holds {array.shape}")
    return inputs, ["self-test"] * len(inputs)


def _random(spec: Mapping[str, Any], port: Port, generator: np.random.Generator) -> "tuple[npt.NDArray[Any], str]":
    """Values for an input. Wide integers without a scale are indices or sizes as a rule: 0 and 1, which most are.

    Refuses (EngineError) an input that holds no numbers.
    """
    dtype = np.dtype(port.dtype)
    if dtype.kind not in "iufbc":
        raise EngineError(f"{spec['file']}: input '{port.name}' holds {port.dtype}, not numbers: nothing to feed it")
    if dtype.kind in "iu" and port.scale is None and dtype.itemsize >= INDEX_BYTES:
        return generator.integers(0, 2, port.shape, dtype=dtype), "0 and 1"
    return _any_values(dtype, port.shape, generator), "random"


def _any_values(dtype: "np.dtype[Any]", shape: "tuple[int, ...]", generator: np.random.Generator) -> npt.NDArray[Any]:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    return generator.uniform(-1.0, 1.0, shape).astype(dtype)


def _selftest(spec: Mapping[str, Any], session: Session, archive: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Every self-test sample through the session, held to what the manifest allows for its kernels."""
    samples = len(archive["input_0"])
    told = {k: meaning for k, meaning in enumerate(spec["meanings"]) if meaning != "other"}
    meanings = list(told.values())
    largest = 0.0
    for index in range(samples):
        given = [archive[f"input_{k}"][index : index + 1] for k in range(len(session.inputs))]
        outputs = session.run(given)
        expected = [archive[f"expected_{k}"][index : index + 1] for k in told]
        largest = max(largest, outputs_difference(expected, [outputs[k] for k in told], meanings))
    kernels = kernel_key(session.info)
    replies = [archive[f"expected_{k}"] for k in told]
    allowed = difference_allowed_here(
        spec["allowed"], session.info, replies, [is_share(each, meanings) for each in meanings]
    )
    if not largest <= allowed:
        raise EngineError(
            f"{spec['name']}: self-test of {spec['file']}: differs by {largest:g}, {allowed:g} is allowed for "
            f"{kernels}; no time of it would mean anything"
        )
    return {"kernels": kernels, "samples": samples, "largest": largest, "allowed": allowed}


def _subject(session: Session, inputs: Arrays, count: int) -> Subject:
    prepared = getattr(session, "prepared", None)
    once: Callable[[], Any] = partial(session.run, inputs) if prepared is None else prepared(inputs)
    timed = partial(_device_times, session, inputs, count) if isinstance(session, DeviceSession) else None
    row = ENGINES.get(session.info.engine)
    spins_ns = row.spins_ns if row is not None and session.info.threads > 1 else 0
    return Subject(query=once if count == 1 else _repeated(once, count), timed_query=timed, spins_s=spins_ns / 1e9)


def _repeated(once: Callable[[], Any], count: int) -> Callable[[], None]:
    def query() -> None:
        for _ in range(count):
            once()

    return query


def _device_times(session: DeviceSession, inputs: Arrays, count: int) -> tuple[int, int, int]:
    to_device_ns = compute_ns = to_host_ns = 0
    for _ in range(count):
        times = session.run_timed(inputs)
        to_device_ns += times.to_device_ns
        compute_ns += times.compute_ns
        to_host_ns += times.to_host_ns
    return to_device_ns, compute_ns, to_host_ns


def _info(session: Session) -> dict[str, Any]:
    fields = dict(vars(session.info))
    fields["provider_options"] = dict(fields["provider_options"])
    return fields
