"""How a machine stands at one moment: governor, clocks, heat, throttling, load."""

import json
from pathlib import Path

from pydantic import Field

from device_bench.agent.machine_state_facts import ROOT, state_facts
from device_bench.records.record_types import Count, Positive, Whole
from edge.strict import Strict

# Bits of a Raspberry Pi's throttled word; 16 bits higher: the same, at some time since the start.
THROTTLED_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


class GpuState(Strict):
    """One NVIDIA GPU: the fields of `edge.engines.nvidia_smi.Gpu`."""

    index: Count
    name: str
    driver: str | None
    performance_state: str | None
    sm_mhz: Count | None
    memory_mhz: Count | None
    max_sm_mhz: Count | None
    temperature_c: Count | None
    power_w: float | None
    power_limit_w: float | None
    busy_percent: Count | None
    throttle_reasons: Count | None


class MachineState(Strict):
    """The state of a machine at `time_utc`. None or empty: the system does not say.

    Attributes:
        governors: frequency governors in use, each once.
        frequencies_khz: last requested frequency of every processor, in order.
        temperatures_millicelsius: by thermal zone.
        throttled_bits: a Raspberry Pi's word, see THROTTLED_BITS.
        thermal_throttle_count: events counted by x86 cores since the start, all cores together.
        group_throttled_count: periods in which the control group's processor limit stopped its processes.
        load_average_1m: processes running or waiting, averaged over a minute.
        battery_percent, charging, battery_filling: of a portable device. charging: something else than the battery
            drives it; battery_filling: and fills the battery too.
        screen_on: of a telephone. thermal_status: Android's, 0 (none) to 6 (shutdown).
        steal_ticks: ticks that the hypervisor gave to others since the start, all processors together.
        gpus: as nvidia-smi tells them; empty where there is none.
    """

    time_utc: str
    governors: tuple[str, ...]
    frequencies_khz: tuple[Count, ...]
    temperatures_millicelsius: dict[str, Whole]
    throttled_bits: Count | None
    thermal_throttle_count: Count | None
    group_throttled_count: Count | None
    load_average_1m: float | None
    memory_available_bytes: Count | None
    steal_ticks: Count | None
    swapped_in_pages: Count | None = None
    swapped_out_pages: Count | None = None
    busy_ticks: Count | None = None
    idle_ticks: Count | None = None
    ticks_per_second: Positive | None = None
    monotonic_ns: Count | None = None
    wall_minus_monotonic_ns: Whole | None = None
    own_processor_ns: Count | None = None
    voluntary_switches: Count | None = None
    involuntary_switches: Count | None = None
    energy_microjoules: dict[str, Count] = Field(default_factory=dict)
    energy_range_microjoules: dict[str, Count] = Field(default_factory=dict)
    power_microwatts: dict[str, Count] = Field(default_factory=dict)
    battery_percent: Count | None = None
    charging: bool | None = None
    battery_filling: bool | None = None
    screen_on: bool | None = None
    thermal_status: Count | None = None
    gpus: tuple[GpuState, ...] = ()


def read_state(root: Path = ROOT) -> MachineState:
    """Read the state of this machine; `root` is a folder that stands for `/`."""
    return MachineState.model_validate_json(json.dumps(state_facts(root)))
