"""Every operator of a TFLite file timed as a model of its own, right after a run of the whole model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_bench.agent.loop import Clock
from device_bench.agent.turns import in_turn
from edge.errors import EngineError
from edge.runtime.engine import Port, Session
from edge.runtime.file_parts import part_of

MOST_SESSIONS = 16  # opened at once
MOST_BYTES = 2**28  # of the files behind them
SEED = 20260101


@dataclass(frozen=True, kw_only=True, eq=False)
class TflitePlan:
    """What is timed.

    Attributes:
        path: the whole file. call: a model that computes hardly anything, whose time is what a call takes.
        parts: `words` and `lists` of every operator. inputs: of the whole.
        opened: opens a file. place: an empty folder.
        rounds: of one pass. settle_ns: as of `in_turn`. alive: called now and then.
    """

    path: Path
    call: Path
    parts: Sequence[Mapping[str, Any]]
    inputs: Sequence[npt.NDArray[Any]]
    opened: Callable[[Path], Session]
    place: Path
    rounds: int
    clock: Clock
    settle_ns: int
    alive: Callable[[], None]


def operator_pass(plan: TflitePlan) -> list[dict[str, Any]]:
    """Times of every operator, some at a time, with sessions of their own.

    Each is timed after a run of the whole file, which leaves in the caches what it leaves, and after its own inputs
    were written, as the operator before it would have done. With several threads it is timed after runs of its own, for
    the whole's threads would go on spinning. A device's memory holds few sessions of a large file.

    Returns:
        Groups: `parts_ns` of consecutive operators, `call_ns` of the small model, both timed in the same way, and
        `whole_ns`; one time a round each. `delegated`: for every operator, whether a delegate took it.
    """
    data = plan.path.read_bytes()
    size = max(1, min(MOST_SESSIONS, MOST_BYTES // max(len(data), 1)))
    groups = []
    for first in range(0, len(plan.parts), size):
        whole = plan.opened(plan.path)
        run = _bound(whole, plan.inputs)[1]
        sessions = [_part(plan, data, number) for number in range(first, min(first + size, len(plan.parts)))]
        bound = [_bound(session, _values(session.inputs)) for session in (*sessions, plan.opened(plan.call))]
        bound.append(_bound(whole, plan.inputs))
        *parts_ns, call_ns, whole_ns = in_turn(
            [timed for _, timed in bound],
            untimed=[_after(timed if plan.settle_ns else run, put) for put, timed in bound],
            rounds=plan.rounds,
            clock=plan.clock,
            settle_ns=plan.settle_ns,
        )
        groups.append(
            {
                "parts_ns": parts_ns,
                "call_ns": call_ns,
                "whole_ns": whole_ns,
                "delegated": [any(getattr(session, "delegated", ())) for session in sessions],
            }
        )
        plan.alive()
    return groups


def _after(run: Callable[[], Any], put: Callable[[], None]) -> Callable[[], None]:
    def prepare() -> None:
        run()
        put()

    return prepare


def _bound(session: Session, inputs: Sequence[npt.NDArray[Any]]) -> tuple[Callable[[], None], Callable[[], Any]]:
    """What writes the inputs, and what computes."""
    separate = getattr(session, "separate", None)
    if separate is None:
        raise EngineError(f"{session.info.engine} cannot compute apart from taking its inputs")
    found: tuple[Callable[[], None], Callable[[], Any]] = separate(inputs)
    return found


def _part(plan: TflitePlan, data: bytes, number: int) -> Session:
    path = plan.place / f"{number}.tflite"
    path.write_bytes(part_of(data, plan.parts[number]["words"], plan.parts[number]["lists"]))
    try:
        return plan.opened(path)
    except EngineError as error:
        raise EngineError(f"operator {number} alone: {error}") from error
    finally:
        path.unlink()  # the session holds it as long as it needs it


def _values(ports: Sequence[Port]) -> list[npt.NDArray[Any]]:
    """Random values; zeros for wide integers, which are indices, axes or shapes."""
    generator = np.random.default_rng(SEED)
    found: list[npt.NDArray[Any]] = []
    for port in ports:
        dtype = np.dtype(port.dtype)
        if dtype.kind == "f":
            found.append(generator.uniform(-1.0, 1.0, port.shape).astype(dtype))
        elif dtype.kind in "iu" and dtype.itemsize < 4:
            limits = np.iinfo(dtype)
            found.append(generator.integers(limits.min, limits.max, port.shape, dtype=dtype, endpoint=True))
        else:
            found.append(np.zeros(port.shape, dtype))
    return found
