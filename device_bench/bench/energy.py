"""Energy between two states of a machine, by its own counters or power sensors."""

from collections.abc import Sequence
from itertools import pairwise

from device_bench.records.machine_state import MachineState
from device_bench.records.record_parts import EnergyUsed


def energy_used(states: Sequence[MachineState], inferences: int | None) -> EnergyUsed | None:
    """Energy from the first to the last state; None where nothing counts it.

    Counters come first: RAPL's packages together (each may wrap around once between two states), or one of hwmon. Else
    a power sensor is integrated over the states by the trapezoidal rule: the more states, the better.

    Args:
        inferences: everything that ran in between, unmeasured openings of blocks too; None: several models ran in
            turn, and nobody can tell whose energy it was.
    """
    found = _counted(states) or _integrated(states)
    if found is None:
        return None
    source, joules = found
    return EnergyUsed(source=source, joules=joules, joules_per_inference=joules / inferences if inferences else None)


def _counted(states: Sequence[MachineState]) -> tuple[str, float] | None:
    common = set.intersection(*(set(state.energy_microjoules) for state in states))
    packages = sorted(name for name in common if name.startswith("rapl:package"))
    names = packages or sorted(common)[:1]
    if not names:
        return None
    total = 0
    for name in names:
        for before, after in pairwise(states):
            step = after.energy_microjoules[name] - before.energy_microjoules[name]
            if step < 0:
                if name not in after.energy_range_microjoules:
                    return None
                step += after.energy_range_microjoules[name]
            total += step
    return (" + ".join(names), total / 1e6) if total > 0 else None


def _integrated(states: Sequence[MachineState]) -> tuple[str, float] | None:
    common = sorted(set.intersection(*(set(state.power_microwatts) for state in states)))
    if not common:
        return None
    name, joules = common[0], 0.0
    for before, after in pairwise(states):
        if before.monotonic_ns is None or after.monotonic_ns is None:
            return None
        mean_watts = (before.power_microwatts[name] + after.power_microwatts[name]) / 2e6
        joules += mean_watts * (after.monotonic_ns - before.monotonic_ns) / 1e9
    return (name, joules) if joules > 0 else None
