"""What the agent reads beside its clock: the machine, its state, and whether a warm-up has settled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from device_bench.agent.machine_facts import machine_facts
from device_bench.agent.machine_state_facts import state_facts
from device_bench.agent.warmup import stable


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Functions that read; tests give their own.

    Attributes:
        machine: fields of `device_bench.records.machine.Machine`. state: of
            `device_bench.records.machine_state.MachineState`.
        stable: whether the running median of these samples has settled.
    """

    machine: Callable[[], dict[str, Any]]
    state: Callable[[], dict[str, Any]]
    stable: Callable[[Sequence[int]], bool]


READERS = Readers(machine=machine_facts, state=state_facts, stable=stable)
