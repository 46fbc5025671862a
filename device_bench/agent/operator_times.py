"""Every operator of a TFLite file timed as a model of its own, right after a run of the whole model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device_bench.agent.loop import Clock
from device_bench.agent.turns import in_turn
from edge.engines.engine import Session
from edge.engines.file_parts import part_of
from edge.errors import EngineError
from edge.port import Port

MOST_SESSIONS = 16  # opened at once
MOST_BYTES = 2**28  # of the files behind them
SEED = 20260101


@dataclass(frozen=True, kw_only=True, eq=False)
class TflitePlan:
    """What is timed.

    Attributes:
        path: the whole file. call: a model that computes hardly anything, whose time is what a call takes.
        parts: `words` and `lists` of every operator; the latter name the tensors that it takes and gives.
        inputs: arrays for the whole, of the tensors `input_indices`.
        opened: opens a file. place: an empty folder.
        rounds: of one pass. settle_ns: as of `in_turn`. alive: called now and then.
    """

    path: Path
    call: Path
    parts: Sequence[Mapping[str, Any]]
    inputs: Sequence[npt.NDArray[Any]]
    input_indices: Sequence[int]
    opened: Callable[[Path], Session]
    place: Path
    rounds: int
    clock: Clock
    settle_ns: int
    alive: Callable[[], None]


def operator_pass(plan: TflitePlan) -> list[dict[str, Any]]:
    """Times of every operator, some at a time, with sessions of their own, on the data that it gets in the network.

    Each is timed in two states. After a run of the whole file and after its own inputs were written, as the operator
    before it would have done: its weights lie where the whole leaves them, and so does its working memory, which in the
    whole is the one that others have just used. And after a run of its own, which leaves all of that in the caches. The
    truth lies between the two. With several threads there is the second one only, for the whole's threads would go on
    spinning. A device's memory holds few sessions of a large file.

    Returns:
        Groups: `parts_ns` of consecutive operators after the whole (None with several threads) and `again_ns` after
        themselves, `call_ns` and `again_call_ns` of the small model timed in the same way, and `whole_ns`; one time a
        round each. `delegated`: for every operator, whether a delegate took it.
    """
    data = plan.path.read_bytes()
    size = max(1, min(MOST_SESSIONS, MOST_BYTES // max(len(data), 1)))
    values = Values(plan)
    groups = []
    for first in range(0, len(plan.parts), size):
        whole = plan.opened(plan.path)
        run = _bound(whole, plan.inputs)[1]
        bound, delegated = [], []
        for number in range(first, min(first + size, len(plan.parts))):
            session = _part(plan, data, number)
            bound.append(_bound(session, values.through(number, session)))
            delegated.append(any(getattr(session, "delegated", ())))
        call = plan.opened(plan.call)
        bound.append(_bound(call, _random(call.inputs)))
        again_ns, after_ns = _timed(plan, bound, None), None if plan.settle_ns else _timed(plan, bound, run)
        (whole_ns,) = _timed(plan, [_bound(whole, plan.inputs)], None)
        groups.append(
            {
                "parts_ns": None if after_ns is None else after_ns[:-1],
                "call_ns": None if after_ns is None else after_ns[-1],
                "again_ns": again_ns[:-1],
                "again_call_ns": again_ns[-1],
                "whole_ns": whole_ns,
                "delegated": delegated,
            }
        )
        plan.alive()
    return groups


class Values:
    """What every tensor holds when the whole file has run, as long as an operator still to come needs it."""

    def __init__(self, plan: TflitePlan) -> None:
        self._parts = plan.parts
        self._held: dict[int, npt.NDArray[Any]] = dict(zip(plan.input_indices, plan.inputs, strict=True))

    def through(self, number: int, session: Session) -> list[npt.NDArray[Any]]:
        """The inputs of a part; what it gives is held for the parts behind it.

        A tensor that no part before has given (a variable of the network, what a pair keeps within it) gets random
        values.
        """
        (_, taken), (_, given) = self._parts[number]["lists"]
        random = _random(session.inputs)
        inputs = [self._held.get(index, drawn) for index, drawn in zip(taken, random, strict=True)]
        for index, array in zip(given, session.run(inputs), strict=True):
            self._held[index] = array
        needed = {index for part in self._parts[number + 1 :] for index in part["lists"][0][1]}
        self._held = {index: array for index, array in self._held.items() if index in needed}
        return inputs


def _timed(
    plan: TflitePlan,
    bound: "Sequence[tuple[Callable[[], None], Callable[[], Any]]]",
    before: "Callable[[], Any] | None",
) -> list[list[int]]:
    """Each after `before`, or after a run of its own."""
    return in_turn(
        [timed for _, timed in bound],
        untimed=[_after(timed if before is None else before, put) for put, timed in bound],
        rounds=plan.rounds,
        clock=plan.clock,
        settle_ns=plan.settle_ns,
    )


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


def _random(ports: Sequence[Port]) -> list[npt.NDArray[Any]]:
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
