"""ONNX Runtime's own profile of a model: how long every executed node took, beside runs without the profile."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from device_bench.agent.loop import Clock
from device_bench.agent.onnx_topology import TopologyNode, read_topology
from device_bench.agent.onnx_trace import TracedNode, read_trace
from device_bench.agent.turns import in_turn
from edge.engines.kernel_sets import PROVIDERS
from edge.engines.onnx_providers import DEFAULT, one_line, start_session
from edge.engines.onnx_session import DTYPES
from edge.engines.onnxruntime_module import onnxruntime_module
from edge.errors import EngineError

UNTIMED = 3  # runs of each session before the first round: its arena and its threads settle
# An idle session's threads keep spinning for some 20 ms and take the processors of the one that is timed; its own, once
# asleep, are spread over the processors anew only after some 30 ms. So with several threads untimed runs go on longer.
SETTLING_NS, MOST_SETTLING = 80_000_000, 64


def profile_onnx(
    path: Path,
    inputs: Sequence[Any],
    chains: Sequence[Path],
    *,
    threads: int,
    kernels: str | None,
    rounds: int,
    folder: Path,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Any]:
    """Profile an ONNX file, and small files that tell what the profile itself costs.

    Args:
        inputs: numpy arrays as the file takes them, in its order.
        chains: files of nodes that hardly compute (`device_bench.explain.onnx_overhead`), fed with zeros.
        kernels: as of `edge.engines.onnx_session.open_onnxruntime`; the chains run with the CPU's.
        folder: where the profile and the optimized model lie meanwhile, in a folder that is removed in any case.

    Returns:
        JSON-ready: what `profile_file` says of `path`, and `chains`, the same of every chain.

    Raises:
        EngineError: as of `profile_file`.
    """
    found = profile_file(path, inputs, threads=threads, kernels=kernels, rounds=rounds, folder=folder, clock=clock)
    told = [
        profile_file(chain, None, threads=threads, kernels=None, rounds=rounds, folder=folder, clock=clock)
        for chain in chains
    ]
    return {**found, "chains": told}


def profile_file(
    path: Path,
    inputs: Sequence[Any] | None,
    *,
    threads: int,
    kernels: str | None,
    rounds: int,
    folder: Path,
    clock: Clock,
) -> dict[str, Any]:
    """Profile one file: two sessions in turn, one with the profile and one without, so that its cost can be told.

    Every timed run follows an untimed one of the same session, which brings its data into the caches, and with several
    threads as many as it takes until they have settled; the untimed ones are in the profile too, and the answer omits
    them.

    Args:
        inputs: None feeds zeros.

    Returns:
        `whole_ns` and `profiled_whole_ns`, one of each a round; `nodes`, in order of execution: `name`, `op_type`,
        `provider`, `dtype` of the first output, `bytes_moved`, `tensors`, `inputs` and `outputs` (names in the
        optimized model, no constants; empty where it cannot be saved), `durations_ns`, one a round.

    Raises:
        EngineError: a GPU's provider, whose profile tells when kernels were started and not how long they took; the
            file is refused or fails; the profile is damaged.
    """
    onnxruntime = onnxruntime_module()
    chosen = DEFAULT if kernels is None else kernels
    if PROVIDERS[chosen].on_gpu:
        raise EngineError(f"onnxruntime:{chosen}: its profile tells when kernels start, not how long they take")
    place = Path(tempfile.mkdtemp(prefix="profile-", dir=folder))
    try:
        plain = start_session(onnxruntime, path, chosen, threads)
        profiled, saved = _profiled_session(onnxruntime, path, chosen, threads, place)
        try:
            feed = _feed(plain, inputs)
            turns = [lambda: plain.run(None, feed), lambda: profiled.run(None, feed)]
            times, each = _in_turn(turns, rounds, clock, SETTLING_NS if threads > 1 else 0)
        finally:
            trace = Path(profiled.end_profiling())  # the runtime would write it when the session dies, anywhere
        traced = read_trace(trace, UNTIMED + (each + 1) * rounds)
        topology = read_topology(saved) if saved.is_file() else []
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return {"whole_ns": times[0], "profiled_whole_ns": times[1], "nodes": _nodes(traced, topology, each)}


def _feed(session: Any, inputs: Sequence[Any] | None) -> dict[str, Any]:
    values = session.get_inputs()
    if inputs is None:
        inputs = [np.zeros(value.shape, DTYPES[value.type]) for value in values]
    return {value.name: array for value, array in zip(values, inputs, strict=True)}


def _in_turn(
    turns: Sequence[Callable[[], Any]], rounds: int, clock: Clock, settle_ns: int
) -> tuple[list[list[int]], int]:
    """Times of each, and how many untimed runs came before each timed one."""
    try:
        for turn in turns:
            for _ in range(UNTIMED):
                turn()
        each = 1
        if settle_ns:
            start_ns = clock()
            turns[0]()
            each = min(MOST_SETTLING, max(1, -(-settle_ns // max(clock() - start_ns, 1))))
        untimed = [partial(_repeated, turn, each) for turn in turns]
        return in_turn(turns, rounds=rounds, untimed=untimed, clock=clock), each
    except Exception as error:  # the runtime's exceptions share no base class below Exception
        raise EngineError(f"onnxruntime: the model failed: {one_line(error)}") from error


def _repeated(turn: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        turn()


def _profiled_session(runtime: Any, path: Path, kernels: str, threads: int, place: Path) -> tuple[Any, Path]:
    """A session with the profile that saves its optimized model, or does not where a provider compiled nodes."""
    saved, profile = place / "optimized.onnx", place / "trace"
    try:
        return start_session(runtime, path, kernels, threads, profile=profile, optimized=saved), saved
    except EngineError:
        saved.unlink(missing_ok=True)
        return start_session(runtime, path, kernels, threads, profile=profile), saved


def _nodes(traced: Sequence[TracedNode], topology: Sequence[TopologyNode], each: int) -> list[dict[str, Any]]:
    found = _tensors(traced, topology)
    return [
        {
            "name": node.name,
            "op_type": node.op_type,
            "provider": node.provider,
            "dtype": node.dtype,
            "bytes_moved": node.bytes_moved,
            "tensors": node.tensors,
            "inputs": [] if tensors is None else list(tensors.inputs),
            "outputs": [] if tensors is None else list(tensors.outputs),
            "durations_ns": list(node.durations_ns[UNTIMED + each :: each + 1]),
        }
        for node, tensors in zip(traced, found, strict=True)
    ]


def _tensors(traced: Sequence[TracedNode], topology: Sequence[TopologyNode]) -> list[TopologyNode | None]:
    """The saved node of every traced one: by place where both lists agree throughout, else by a name that is unique."""
    if len(traced) == len(topology) and all(
        node.op_type == saved.op_type and saved.name in ("", node.name)
        for node, saved in zip(traced, topology, strict=True)
    ):
        return list(topology)
    named: dict[str, list[TopologyNode]] = {}
    for saved in topology:
        named.setdefault(saved.name, []).append(saved)
    return [named[node.name][0] if len(named.get(node.name, ())) == 1 else None for node in traced]
