"""Every kind of taint: raised by what it is about, and not by less."""

from pathlib import Path
from typing import Any

import pytest

from device_bench.bench.energy import energy_used
from device_bench.records.machine import Machine, read_machine
from device_bench.records.machine_state import MachineState, read_state
from device_bench.records.taints import ADVICE, notes, taints

Fields = dict[str, Any]
QUIET: Fields = {
    "governors": ("performance",),
    "frequencies_khz": (2_400_000, 1_500_000),
    "temperatures_millicelsius": {"0:cpu-thermal": 60_000},
    "throttled_bits": 0,
    "thermal_throttle_count": 0,
    "group_throttled_count": 0,
    "load_average_1m": 0.5,
    "steal_ticks": 0,
    "swapped_in_pages": 7,
    "swapped_out_pages": 7,
    "busy_ticks": 1000,
    "idle_ticks": 1000,
    "ticks_per_second": 100,
    "monotonic_ns": 0,
    "own_processor_ns": 0,
    "wall_minus_monotonic_ns": 10**18,
}
LATER: Fields = QUIET | {"busy_ticks": 2100, "idle_ticks": 4000, "monotonic_ns": 10**10, "own_processor_ns": 10**10}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return read_machine(tmp_path, "aarch64").model_copy(update={"cores": 4, "usable_cores": 4})


@pytest.fixture
def empty(tmp_path: Path) -> MachineState:
    return read_state(tmp_path)


def found(machine: Machine, empty: MachineState, during: Fields, after: Fields, **more: Any) -> list[tuple[str, str]]:
    states = [empty.model_copy(update=fields) for fields in (QUIET, QUIET | during, LATER | after)]
    asked = {"threads": 1, "emulated": None, "self_tested": True} | more
    return [(taint.kind, taint.sentence) for taint in taints(machine, states, **asked)]


def test_a_quiet_measurement_is_clean(machine: Machine, empty: MachineState) -> None:
    assert found(machine, empty, {}, {}) == []


@pytest.mark.parametrize(
    ("during", "after", "kind", "figure"),
    [
        ({"throttled_bits": 0x4}, {}, "throttled", "throttled"),
        ({}, {"throttled_bits": 0x20000}, "throttled", "frequency capped"),
        ({}, {"throttled_bits": 0x10000}, "power", "under-voltage"),
        ({}, {"charging": False}, "power", "battery"),
        ({"charging": True, "battery_filling": True}, {"battery_filling": False}, "power", "being filled"),
        ({}, {"battery_percent": 19}, "power", "at 19 %"),
        ({}, {"thermal_status": 2}, "throttled", "thermal status 2 of 6"),
        ({}, {"thermal_throttle_count": 3}, "throttled", "3 thermal throttling events"),
        ({"temperatures_millicelsius": {"0:cpu-thermal": 81_250}}, {}, "heat", "0:cpu-thermal is at 81 °C"),
        ({"frequencies_khz": (1_800_000, 600_000)}, {}, "clocks", "between 1800 and 2400 MHz"),
        ({}, {"busy_ticks": 3000}, "shared", "other processes took 20 %"),
        ({}, {"steal_ticks": 2}, "shared", "took 2 ticks"),
        ({}, {"group_throttled_count": 5}, "limited", "stopped the process 5 times"),
        ({}, {"swapped_in_pages": 9}, "limited", "2 pages"),
        ({}, {"wall_minus_monotonic_ns": 10**18 + 3 * 10**9}, "wall-clock", "jumped by 3.0 s"),
        ({"wall_minus_monotonic_ns": 10**18 - 10**9}, {}, "wall-clock", "jumped by 1.0 s"),
    ],
)
def test_a_state_taints_with_its_kind_and_figure(
    machine: Machine, empty: MachineState, during: Fields, after: Fields, kind: str, figure: str
) -> None:
    ((told, sentence),) = found(machine, empty, during, after)
    assert told == kind and figure in sentence


@pytest.mark.parametrize(
    ("during", "after"),
    [
        ({"temperatures_millicelsius": {"0:cpu-thermal": 79_900}}, {}),
        ({"frequencies_khz": (2_200_000,)}, {}),
        ({}, {"busy_ticks": 2300}),
        ({}, {"wall_minus_monotonic_ns": 10**18 + 5 * 10**7}),
        ({"governors": ("ondemand",)}, {}),
        ({}, {"voluntary_switches": 10_000}),
        ({}, {"charging": True, "battery_filling": False, "battery_percent": 20}),
    ],
)
def test_less_than_that_does_not(machine: Machine, empty: MachineState, during: Fields, after: Fields) -> None:
    assert found(machine, empty, during, after) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"emulation": "qemu-aarch64"}, "emulated"),
        ({"virtual_machine": "hypervisor"}, "virtual"),
        ({"processor_limit_cores": 0.5}, "limited"),
        ({"usable_cores": 0}, "limited"),
        ({"power_supply": "battery"}, "power"),
    ],
)
def test_a_machine_taints(machine: Machine, empty: MachineState, changes: Fields, kind: str) -> None:
    assert [told for told, _ in found(machine.model_copy(update=changes), empty, {}, {})] == [kind]


def test_a_machine_with_enough_of_everything_does_not(machine: Machine, empty: MachineState) -> None:
    enough = {"processor_limit_cores": 1.0, "usable_cores": 1, "power_supply": "mains", "container": "docker"}
    assert found(machine.model_copy(update=enough), empty, {}, {}) == []


def test_the_engine_s_emulator_and_a_missing_self_test_taint(machine: Machine, empty: MachineState) -> None:
    told = found(machine, empty, {}, {}, emulated="qemu-arm", self_tested=False)
    assert [kind for kind, _ in told] == ["emulated", "untested"] and "qemu-arm" in told[0][1]


def test_a_warm_up_that_never_settled_taints_with_its_length(machine: Machine, empty: MachineState) -> None:
    ((kind, sentence),) = found(machine, empty, {}, {}, unsettled=(230, 5_000_000_000))
    assert kind == "warm-up" and "230 queries and 5.0 s" in sentence


def test_without_an_account_the_load_average_speaks(machine: Machine, empty: MachineState) -> None:
    unknown = QUIET | {"busy_ticks": None, "load_average_1m": 3.5}
    states = [empty.model_copy(update=unknown)] * 2
    ((told),) = taints(machine, states, threads=1, emulated=None, self_tested=True)
    assert (told.kind, told.sentence) == ("shared", "load average 3.50 on 4 processors before the start")


def test_what_the_firmware_saw_before_is_a_note_and_no_taint(machine: Machine, empty: MachineState) -> None:
    past = {"throttled_bits": 0x50000, "governors": ("ondemand",)}
    states = [empty.model_copy(update=fields | past) for fields in (QUIET, LATER)]
    assert taints(machine, states, threads=1, emulated=None, self_tested=True) == ()
    assert notes(machine, states) == (
        "frequency governor ondemand: clocks follow the load; 'performance' holds them",
        "under-voltage at some time since the start, before the measurement",
        "throttled at some time since the start, before the measurement",
    )


def test_every_kind_has_advice() -> None:
    assert set(ADVICE) == {"emulated", "throttled", "shared", "clocks", "heat", "power", "virtual", "limited",
                           "wall-clock", "warm-up", "untested"}  # fmt: skip


def test_energy_counters_of_all_packages_add_up_and_may_begin_anew(empty: MachineState) -> None:
    def at(first: int, second: int) -> MachineState:
        counters = {"rapl:package-0": first, "rapl:package-1": second, "rapl:psys": 1}
        ranges = {"rapl:package-0": 10_000_000, "rapl:package-1": 10_000_000}
        return empty.model_copy(update={"energy_microjoules": counters, "energy_range_microjoules": ranges})

    used = energy_used([at(9_000_000, 0), at(1_000_000, 1_000_000), at(2_000_000, 2_000_000)], 10)
    assert used is not None
    assert (used.source, used.joules, used.joules_per_inference) == ("rapl:package-0 + rapl:package-1", 5.0, 0.5)


def test_a_power_sensor_is_integrated_over_the_states(empty: MachineState) -> None:
    states = [
        empty.model_copy(update={"power_microwatts": {"pmic": watts * 10**6}, "monotonic_ns": seconds * 10**9})
        for seconds, watts in ((0, 2), (2, 4), (3, 4))
    ]
    used = energy_used(states, None)
    assert used is not None and (used.source, used.joules, used.joules_per_inference) == ("pmic", 10.0, None)


def test_without_counters_there_is_no_energy(empty: MachineState) -> None:
    assert energy_used([empty, empty], 10) is None
