"""What a machine does at most: large convolutions of an engine, and copies of sizes that fit into its caches or not."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_bench.agent.loop import Clock
from device_bench.agent.turns import in_turn
from edge.engines.engine import Session
from edge.errors import EngineError

COPY_BYTES = (2**15, 2**18, 2**21, 2**24, 2**26)  # of the source; first and second level, shared caches, memory
TIMED_BYTES = 2**23  # a timed call copies so much, in as many copies as that takes


def peak_times(
    files: Mapping[str, Path], opened: Callable[[Path], Session], *, rounds: int, clock: Clock, settle_ns: int
) -> dict[str, Any]:
    """Run files whose multiply-adds are known with zeros, in turn.

    Args:
        files: name -> model file.

    Returns:
        `peaks_ns`: name -> nanoseconds, one a round; `refused`: name -> why the engine does not run it.
    """
    calls, refused = {}, {}
    for name, path in files.items():
        try:
            session = opened(path)
            calls[name] = computing(session, [np.zeros(port.shape, port.dtype) for port in session.inputs])
        except EngineError as error:
            refused[name] = str(error)
    times = in_turn(list(calls.values()), rounds=rounds, clock=clock, settle_ns=settle_ns)
    return {"peaks_ns": dict(zip(calls, times, strict=True)), "refused": refused}


def computing(session: Session, inputs: list[npt.NDArray[Any]]) -> Callable[[], Any]:
    """The session's work on these inputs, without handing over what can be handed over before."""
    separate, prepared = getattr(session, "separate", None), getattr(session, "prepared", None)
    call: Callable[[], Any]
    if separate is not None:
        _, call = separate(inputs)
    else:
        call = partial(session.run, inputs) if prepared is None else prepared(inputs)
    return call


def copy_times(*, threads: int, rounds: int, clock: Clock) -> list[dict[str, Any]]:
    """Copies of COPY_BYTES by one thread, and by as many as the engine has, each of them with its part of the bytes.

    Returns:
        One entry per size and number of threads: `bytes` of a whole copy, `copies` in a timed call, `threads`, `ns`,
        one a round. A size for which the memory does not suffice is left away.
    """
    found: list[dict[str, Any]] = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for size in COPY_BYTES:
            for used in sorted({1, threads}):
                copies = max(1, TIMED_BYTES // size)
                try:
                    parts = [_copying(size // used, copies) for _ in range(used)]
                except MemoryError:
                    continue
                call = parts[0] if used == 1 else partial(_together, pool, parts)
                (times,) = in_turn([call], rounds=rounds, clock=clock)
                found.append({"bytes": size // used * used, "copies": copies, "threads": used, "ns": times})
    return found


def _copying(size: int, copies: int) -> Callable[[], None]:
    source = np.ones(size, np.uint8)
    target = np.zeros_like(source)

    def copy() -> None:
        for _ in range(copies):
            np.copyto(target, source)

    return copy


def _together(pool: ThreadPoolExecutor, parts: list[Callable[[], None]]) -> None:
    for running in [pool.submit(part) for part in parts]:
        running.result()
