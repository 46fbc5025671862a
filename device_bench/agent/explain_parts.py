"""Where a subject's time goes, as raw times: its operators or nodes, this machine's peaks, other numbers of threads."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy.typing as npt

from device_bench.agent.loop import Clock, block
from device_bench.agent.onnx_profile import profile_onnx
from device_bench.agent.operator_times import TflitePlan, operator_pass
from device_bench.agent.peak_times import computing, copy_times, peak_times
from device_bench.agent.turns import in_turn
from edge.engines.emulation import emulator
from edge.engines.engine import Opener, Session
from edge.engines.table import ENGINES
from edge.errors import EngineError

EMULATED = "an emulated machine's time is not a latency, so there is nothing to explain"
# A session's place in memory makes it faster or slower: every time is taken of several sessions.
PASSES, LEAST_PASSES = 5, 3
PEAK_ROUNDS = 11
THREAD_COUNTS = (1, 2, 4)
EMPTY_TURNS = 1000
DELEGATE = "xnnpack"  # taken by default where it applies
# A pool's threads spin for a while after a run, at the cost of whatever runs next.
SETTLING_NS = 20_000_000  # where an engine's own is not known
ESTIMATES = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What is explained: an entry of the job's subjects, loaded, and how to open more of its kind.

    `alive` is called now and then, between timed calls, so that whoever waits knows that the work goes on.
    """

    spec: Mapping[str, Any]
    session: Session
    inputs: Sequence[npt.NDArray[Any]]
    path: Path
    threads: int
    opener: Opener
    clock: Clock
    alive: Callable[[], None]

    def opened(self, path: Path, threads: int | None = None) -> Session:
        """Another file, or this one with other threads, by the same engine and kernels.

        Where a delegate is asked for by name, what it leaves to the runtime may be all that such a file holds.
        """
        kernels = None if self.spec["kernels"] == DELEGATE else self.spec["kernels"]
        return self.opener(
            self.spec["engine"], path, threads=self.threads if threads is None else threads, kernels=kernels
        )

    @property
    def settle_ns(self) -> int:
        """Before a timed call, so that it has the processors for itself."""
        return self.settling_ns if self.threads > 1 else 0

    @property
    def settling_ns(self) -> int:
        """Until the engine's threads rest."""
        return ENGINES[self.spec["engine"]].spins_ns or SETTLING_NS


def explained(part: Part, folder: Path) -> dict[str, Any]:
    """Take a subject apart as `part.spec["explain"]` asks.

    Args:
        folder: holds the job's files by hash, and what is made of them meanwhile.

    Returns:
        JSON-ready fields of `device_bench.explain.reply.ExplainedAnswer`; only `missing`, a sentence, where it
        cannot be done: the measurement before it stands all the same.
    """
    if emulator() is not None:
        return {"missing": EMULATED}
    place = Path(tempfile.mkdtemp(prefix="explain-", dir=folder))
    try:
        return _explained(part, folder, place)
    except (EngineError, MemoryError, OSError) as error:
        return {"missing": str(error) or "the memory does not suffice"}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _explained(part: Part, folder: Path, place: Path) -> dict[str, Any]:
    asked = part.spec["explain"]
    whole = computing(part.session, list(part.inputs))
    rounds = _rounds(asked, block(whole, part.clock, ESTIMATES, 0, ESTIMATES), part.settle_ns)
    found: dict[str, Any] = {"missing": None, "method": asked["method"], "passes": None, "profile": None}
    if asked["method"] == "measured-operators":
        found["passes"] = _passes(part, folder, place, rounds)
    else:
        named = part.path if asked["named_sha256"] is None else folder / f"{asked['named_sha256']}.onnx"
        found["profile"] = profile_onnx(
            named,
            part.inputs,
            [folder / f"{sha256}.onnx" for sha256 in asked["chains_sha256"]],
            threads=part.threads,
            kernels=part.spec["kernels"],
            rounds=rounds,
            folder=place,
            clock=part.clock,
        )
    files = {name: folder / f"{sha256}.{part.spec['format']}" for name, sha256 in asked["peaks_sha256"].items()}
    few = min(rounds, PEAK_ROUNDS)
    return {
        **found,
        **peak_times(files, part.opened, rounds=few, clock=part.clock, settle_ns=part.settle_ns),
        "copies": copy_times(threads=part.threads, rounds=few, clock=part.clock),
        "threads_ns": _other_threads(part, rounds),
        "empty_ns": int(median(block(_nothing, part.clock, EMPTY_TURNS, 0, EMPTY_TURNS))),
        "delegated": _delegated(part.session),
        "partitions": getattr(part.session, "partitions", None),
    }


def _nothing() -> None:
    """What the harness itself costs is timed around this."""


def _delegated(session: Session) -> "list[bool] | None":
    taken = getattr(session, "delegated", None)
    return None if taken is None else list(taken)


def _rounds(asked: Mapping[str, Any], whole_ns: Sequence[int], settle_ns: int) -> int:
    """As many as asked for, or as the time allows: at least LEAST_PASSES."""
    calls = 4 if asked["parts"] is None else len(asked["parts"])
    turn_ns = calls * (min(whole_ns) + settle_ns)
    return max(LEAST_PASSES, min(int(asked["rounds"]), int(asked["most_ns"] // max(turn_ns, 1))))


def _passes(part: Part, folder: Path, place: Path, rounds: int) -> list[list[dict[str, Any]]]:
    asked = part.spec["explain"]
    passes = max(LEAST_PASSES, min(PASSES, rounds // LEAST_PASSES))
    plan = TflitePlan(
        path=part.path,
        call=folder / f"{asked['call_sha256']}.tflite",
        parts=asked["parts"],
        inputs=part.inputs,
        input_indices=asked["inputs"],
        opened=part.opened,
        place=place,
        rounds=max(1, rounds // passes),
        clock=part.clock,
        settle_ns=part.settle_ns,
        alive=part.alive,
    )
    return [operator_pass(plan) for _ in range(passes)]


def _other_threads(part: Part, rounds: int) -> dict[str, list[int]]:
    """The whole file with other numbers of threads, in turn; those that the process may have at once."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    counts = sorted({part.threads, *(count for count in (*THREAD_COUNTS, usable) if count <= usable)})
    calls = [computing(part.opened(part.path, count), list(part.inputs)) for count in counts]
    times = in_turn(calls, rounds=rounds, clock=part.clock, settle_ns=part.settling_ns if len(counts) > 1 else 0)
    return {str(count): taken for count, taken in zip(counts, times, strict=True)}
