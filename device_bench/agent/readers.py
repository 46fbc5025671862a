"""What the agent reads beside its clock: the machine, its state, and whether a warm-up has settled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from device_bench.agent.machine_facts import machine_facts
from device_bench.agent.machine_state_facts import state_facts
from edge.percentile import nearest_rank


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Functions that read; tests give their own.

    Attributes:
        machine: fields of `device_bench.machine.Machine`. state: of `device_bench.machine_state.MachineState`.
        stable: whether the running median of these samples has settled.
    """

    machine: Callable[[], dict[str, Any]]
    state: Callable[[], dict[str, Any]]
    stable: Callable[[Sequence[int]], bool]


def _stable(samples_ns: Sequence[int]) -> bool:
    """Whether the medians of the last two thirds of the samples are within 2 % of each other."""
    third = len(samples_ns) // 3
    if third < 3:
        return False
    medians = [nearest_rank(sorted(part), 50) for part in (samples_ns[-2 * third : -third], samples_ns[-third:])]
    return abs(medians[0] - medians[1]) * 50 <= max(medians)


READERS = Readers(machine=machine_facts, state=state_facts, stable=_stable)
