"""What, in the machine's state, speaks against a measurement: plain sentences, each with the figure behind it."""

from device_bench.agent.gpu_state import throttle_words
from device_bench.machine import Machine
from device_bench.machine_state import THROTTLED_BITS, MachineState

HOT_MILLICELSIUS = 80_000
CLOCK_CHANGE_PERCENT = 10
SINCE_START_SHIFT = 16


def disturbances(machine: Machine, before: MachineState, after: MachineState, threads: int) -> list[str]:
    """Sentences about what may have disturbed a measurement between two states; none when nothing is seen.

    A figure that the system does not give raises no sentence: silence is no proof of quiet.
    """
    return [
        *_hardware(machine, threads),
        *_clocks(before, after),
        *_heat(before, after),
        *_others(machine, before, after, threads),
    ]


def _hardware(machine: Machine, threads: int) -> list[str]:
    found = []
    if machine.emulation:
        found.append(f"the processor is emulated ({machine.emulation}): the times say nothing about a real device")
    if machine.virtual_machine:
        found.append("a virtual machine: neighbours are not visible from inside")
    if machine.processor_limit_cores is not None and machine.processor_limit_cores < threads:
        found.append(f"the control group allows {machine.processor_limit_cores:.2g} processors for {threads} threads")
    if machine.usable_cores is not None and machine.usable_cores < threads:
        found.append(f"{threads} threads on {machine.usable_cores} usable processors")
    return found


def _clocks(before: MachineState, after: MachineState) -> list[str]:
    found = []
    governors = sorted(set(before.governors) | set(after.governors))
    if any(name != "performance" for name in governors):
        found.append(f"frequency governor {', '.join(governors)}: clocks follow the load; 'performance' holds them")
    if before.frequencies_khz and after.frequencies_khz:
        first, last = max(before.frequencies_khz), max(after.frequencies_khz)
        if abs(last - first) * 100 > CLOCK_CHANGE_PERCENT * max(first, 1):
            found.append(f"the highest clock went from {first // 1000} to {last // 1000} MHz")
    return found


def _heat(before: MachineState, after: MachineState) -> list[str]:
    found = []
    for zone, value in after.temperatures_millicelsius.items():
        if value >= HOT_MILLICELSIUS:
            found.append(f"{zone} is at {value / 1000:.0f} °C")
    if after.throttled_bits is not None:
        for bit, name in THROTTLED_BITS.items():
            if after.throttled_bits >> bit & 1:
                found.append(f"{name} now")
            elif after.throttled_bits >> (bit + SINCE_START_SHIFT) & 1:
                found.append(f"{name} at some time since the start")
    status = max(before.thermal_status or 0, after.thermal_status or 0)
    if status:
        found.append(f"Android throttles for heat: thermal status {status} of 6")
    events = _growth(before.thermal_throttle_count, after.thermal_throttle_count)
    if events:
        found.append(f"{events} thermal throttling events during the measurement")
    for gpu in after.gpus:
        for reason in throttle_words(gpu.throttle_reasons):
            found.append(f"GPU {gpu.index} ({gpu.name}) is throttled: {reason}")
    return found


def _others(machine: Machine, before: MachineState, after: MachineState, threads: int) -> list[str]:
    found = []
    if before.load_average_1m is not None and machine.cores is not None:
        free = machine.cores - before.load_average_1m
        if free < threads:
            found.append(f"load average {before.load_average_1m:.2f} on {machine.cores} processors before the start")
    stops = _growth(before.group_throttled_count, after.group_throttled_count)
    if stops:
        found.append(f"the control group's processor limit stopped the process {stops} times")
    stolen = _growth(before.steal_ticks, after.steal_ticks)
    if stolen:
        found.append(f"the hypervisor took {stolen} ticks away")
    return found


def _growth(before: int | None, after: int | None) -> int:
    return after - before if before is not None and after is not None else 0
