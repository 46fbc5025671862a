"""What forbids to take a measurement as clean: kinds, each with a sentence that carries the figure behind it.

Beside taints there are notes: what a reader should know, and what did no harm that shows.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from device_bench.agent.gpu_state import throttle_words
from device_bench.records.machine import Machine
from device_bench.records.machine_state import THROTTLED_BITS, MachineState
from edge.strict import Strict

Kind = Literal[
    "emulated",
    "throttled",
    "shared",
    "clocks",
    "heat",
    "power",
    "virtual",
    "limited",
    "wall-clock",
    "warm-up",
    "untested",
]
HOT_MILLICELSIUS = 80_000
CLOCK_CHANGE_PERCENT = 10
OTHERS_PERCENT = 10
LOW_BATTERY_PERCENT = 20  # below it systems begin to save power
LEAST_ACCOUNT_S = 0.5  # /proc/stat counts hundredths of a second
WALL_CLOCK_JUMP_NS = 100_000_000  # a clock that is slewed to the right time moves 0.5 ms in a second at most
SINCE_START_SHIFT = 16
UNDER_VOLTAGE_BIT = 0

ADVICE: Mapping[Kind, str] = MappingProxyType(
    {
        "emulated": "measure on the device itself; here count instructions",
        "throttled": "cool it (a fan, a heat sink), wait until it is cool, then measure again",
        "shared": "end what else runs, or wait until it is done",
        "clocks": "hold the clocks: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        "heat": "cool it (a fan, a heat sink), and let it rest between measurements",
        "power": "use a supply that the board's maker names, and a short cable; a battery: plug it in until it is full",
        "virtual": "measure on hardware of your own, or on a whole machine",
        "limited": "give the container more processors and memory, or ask for fewer --threads",
        "wall-clock": "wait until the clock is synchronized, keep the machine from sleeping, and measure again",
        "warm-up": "give it longer with --max-warmup-seconds; where it never settles, something disturbs the machine",
        "untested": "measure with the self-test: an artifact, without --no-selftest",
    }
)


class Taint(Strict):
    """One reason, as a kind and as a sentence."""

    kind: Kind
    sentence: str


def taints(
    machine: Machine,
    states: Sequence[MachineState],
    *,
    threads: int,
    emulated: str | None,
    self_tested: bool,
    unsettled: tuple[int, int] | None = None,
) -> tuple[Taint, ...]:
    """The reasons against a measurement, each sentence once.

    A figure that the system does not give raises no sentence: silence is no proof of quiet.

    Args:
        states: before, during and after.
        emulated: what the engine says plays the processor.
        self_tested: the runtime proved that it computes the right thing, or computes nothing.
        unsettled: queries and nanoseconds of a warm-up that ended before the running median was stable; None: it was,
            or nobody can say.
    """
    found: list[tuple[Kind, str]] = []
    if machine.emulation is not None or emulated is not None:
        player = machine.emulation or emulated
        found.append(("emulated", f"the processor is emulated ({player}): the times say nothing about a real device"))
    found += _hardware(machine, threads)
    found += _clocks(states)
    found += _heat(states)
    found += _power(states)
    found += _others(machine, states, threads)
    found += _wall_clock(states)
    if unsettled is not None:
        queries, duration_ns = unsettled
        told = f"the running median had not settled after {queries} queries and {duration_ns / 1e9:.1f} s of warm-up"
        found.append(("warm-up", told))
    if not self_tested:
        found.append(("untested", "the runtime was not held to a self-test"))
    return tuple(dict.fromkeys(Taint(kind=kind, sentence=sentence) for kind, sentence in found))


def notes(machine: Machine, states: Sequence[MachineState]) -> tuple[str, ...]:
    """What a reader should know and what is no taint: a governor whose clocks did not move, an event of the past."""
    found = []
    governors = sorted({name for state in states for name in state.governors})
    if any(name != "performance" for name in governors):
        found.append(f"frequency governor {', '.join(governors)}: clocks follow the load; 'performance' holds them")
    before = states[0].throttled_bits or 0
    for bit, name in THROTTLED_BITS.items():
        if before >> (bit + SINCE_START_SHIFT) & 1 and not before >> bit & 1:
            found.append(f"{name} at some time since the start, before the measurement")
    if machine.container is not None:
        found.append(f"a container ({machine.container})")
    if any(state.screen_on for state in states):
        found.append("the screen is on")
    return tuple(found)


def _hardware(machine: Machine, threads: int) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = []
    if machine.virtual_machine:
        found.append(("virtual", "a virtual machine: neighbours are not visible from inside"))
    limit, usable = machine.processor_limit_cores, machine.usable_cores
    if limit is not None and limit < threads:
        found.append(("limited", f"the control group allows {limit:.2g} processors for {threads} threads"))
    if usable is not None and usable < threads:
        found.append(("limited", f"{threads} threads on {usable} usable processors"))
    if machine.power_supply == "battery":
        found.append(("power", "it runs on its battery"))
    return found


def _clocks(states: Sequence[MachineState]) -> list[tuple[Kind, str]]:
    """The highest clock of all processors: between blocks one of them has just computed."""
    highest = [max(state.frequencies_khz) for state in states if state.frequencies_khz]
    if not highest or (max(highest) - min(highest)) * 100 <= CLOCK_CHANGE_PERCENT * max(highest):
        return []
    least, most = min(highest) // 1000, max(highest) // 1000
    return [("clocks", f"the highest clock moved between {least} and {most} MHz")]


def _heat(states: Sequence[MachineState]) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = []
    for zone in dict.fromkeys(zone for state in states for zone in state.temperatures_millicelsius):
        hottest = max(state.temperatures_millicelsius.get(zone, HOT_MILLICELSIUS - 1) for state in states)
        if hottest >= HOT_MILLICELSIUS:
            found.append(("heat", f"{zone} is at {hottest / 1000:.0f} °C"))
    for bit, name in THROTTLED_BITS.items():
        if bit != UNDER_VOLTAGE_BIT and _firmware_saw(states, bit):
            found.append(("throttled", f"the firmware says: {name}"))
    status = max(state.thermal_status or 0 for state in states)
    if status:
        found.append(("throttled", f"Android throttles for heat: thermal status {status} of 6"))
    events = _growth([state.thermal_throttle_count for state in states])
    if events:
        found.append(("throttled", f"{events} thermal throttling events during the measurement"))
    return found + [
        ("throttled", f"GPU {gpu.index} ({gpu.name}) is throttled: {reason}")
        for state in states
        for gpu in state.gpus
        for reason in throttle_words(gpu.throttle_reasons)
    ]


def _power(states: Sequence[MachineState]) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = []
    if _firmware_saw(states, UNDER_VOLTAGE_BIT):
        found.append(("power", f"the firmware says: {THROTTLED_BITS[UNDER_VOLTAGE_BIT]}"))
    if any(state.charging is False for state in states):
        found.append(("power", "it runs on its battery"))
    if any(state.battery_filling for state in states):
        found.append(("power", "its battery is being filled, which heats it"))
    lowest = min((state.battery_percent for state in states if state.battery_percent is not None), default=100)
    if lowest < LOW_BATTERY_PERCENT:
        found.append(("power", f"its battery is at {lowest} %: systems save power below {LOW_BATTERY_PERCENT} %"))
    return found


def _firmware_saw(states: Sequence[MachineState], bit: int) -> bool:
    """At the moment of a state, or between two: then the bit of `since the start` is new."""
    words = [state.throttled_bits for state in states if state.throttled_bits is not None]
    since = bit + SINCE_START_SHIFT
    return any(word >> bit & 1 for word in words) or any(
        word >> since & 1 and not words[0] >> since & 1 for word in words
    )


def _others(machine: Machine, states: Sequence[MachineState], threads: int) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = []
    percent = others_percent(states[0], states[-1])
    load = states[0].load_average_1m
    if percent is not None:
        if percent > OTHERS_PERCENT:
            found.append(("shared", f"other processes took {percent:.0f} % of the processors' time"))
    elif load is not None and machine.cores is not None and machine.cores - load < threads:
        found.append(("shared", f"load average {load:.2f} on {machine.cores} processors before the start"))
    stops = _growth([state.group_throttled_count for state in states])
    if stops:
        found.append(("limited", f"the control group's processor limit stopped the process {stops} times"))
    stolen = _growth([state.steal_ticks for state in states])
    if stolen:
        found.append(("shared", f"the hypervisor took {stolen} ticks away"))
    pages = _growth([state.swapped_in_pages for state in states]) + _growth([s.swapped_out_pages for s in states])
    if pages:
        found.append(("limited", f"{pages} pages went to or came from swap: memory was short"))
    return found


def others_percent(before: MachineState, after: MachineState) -> float | None:
    """Share of all processors' time that went to other processes, and to the system for them; None where unknown.

    Known where both states count ticks and this process's own time, at least half a second apart.
    """
    busy, idle = _difference(before.busy_ticks, after.busy_ticks), _difference(before.idle_ticks, after.idle_ticks)
    own_ns = _difference(before.own_processor_ns, after.own_processor_ns)
    apart_ns = _difference(before.monotonic_ns, after.monotonic_ns)
    if busy is None or idle is None or own_ns is None or apart_ns is None or after.ticks_per_second is None:
        return None
    if apart_ns < LEAST_ACCOUNT_S * 1e9 or busy + idle <= 0:
        return None
    own_ticks = own_ns / 1e9 * after.ticks_per_second
    return max(0.0, 100 * (busy - own_ticks) / (busy + idle))


def _wall_clock(states: Sequence[MachineState]) -> list[tuple[Kind, str]]:
    offsets = [state.wall_minus_monotonic_ns for state in states if state.wall_minus_monotonic_ns is not None]
    if not offsets or max(offsets) - min(offsets) < WALL_CLOCK_JUMP_NS:
        return []
    seconds = (max(offsets) - min(offsets)) / 1e9
    return [("wall-clock", f"the wall clock jumped by {seconds:.1f} s: it was set, or the machine slept")]


def _growth(counts: Sequence[int | None]) -> int:
    known = [count for count in counts if count is not None]
    return max(0, known[-1] - known[0]) if known else 0


def _difference(before: int | None, after: int | None) -> int | None:
    return after - before if before is not None and after is not None else None
