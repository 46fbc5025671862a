"""A machine described from files of a fake root: what is there is read, what is not is None."""

import shutil
from pathlib import Path

import pytest

from device_bench.agent.power_facts import pmic_microwatts
from device_bench.records.machine import read_machine
from device_bench.records.machine_state import MachineState, read_state
from device_bench.records.taints import taints

PI_CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd0b
"""
EPYC_CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu sse4_1 avx2 hypervisor avx512_vnni
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    processor = "sys/devices/system/cpu/cpu{}/cpufreq/{}"
    return write(
        tmp_path,
        {
            "proc/cpuinfo": PI_CPUINFO,
            "proc/meminfo": "MemTotal:        8048576 kB\nMemAvailable:    4000000 kB\n",
            "proc/loadavg": "3.50 1.00 0.50 2/200 999\n",
            "proc/stat": "cpu  1 2 3 4 5 6 7 88 0 0\n",
            "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "sys/class/thermal/thermal_zone0/temp": "81250\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50004\n",
            processor.format(0, "scaling_governor"): "ondemand\n",
            processor.format(0, "scaling_cur_freq"): "2400000\n",
            processor.format(1, "scaling_governor"): "ondemand\n",
            processor.format(1, "scaling_cur_freq"): "1500000\n",
        },
    )


def test_a_raspberry_pi_is_described(pi: Path) -> None:
    machine = read_machine(pi, "aarch64")
    assert machine.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine.processor == "ARM Cortex-A76"
    assert machine.isa_features == ("asimd", "asimddp")
    assert machine.memory_bytes == 8048576 * 1024
    assert (machine.container, machine.virtual_machine, machine.emulation) == (None, None, None)


def test_the_state_of_a_raspberry_pi_is_read(pi: Path) -> None:
    state = read_state(pi)
    assert state.governors == ("ondemand",)
    assert state.frequencies_khz == (2400000, 1500000)
    assert state.temperatures_millicelsius == {"0:cpu-thermal": 81250}
    assert state.throttled_bits == 0x50004
    assert (state.load_average_1m, state.steal_ticks) == (3.5, 88)
    assert (state.thermal_throttle_count, state.group_throttled_count) == (None, None)


def test_what_a_system_does_not_say_is_none(tmp_path: Path) -> None:
    machine, state = read_machine(tmp_path, "x86_64"), read_state(tmp_path)
    assert (machine.board, machine.processor, machine.memory_bytes, machine.processor_limit_cores) == (None,) * 4
    assert (state.throttled_bits, state.load_average_1m, state.steal_ticks) == (None, None, None)
    assert (state.governors, state.frequencies_khz, state.temperatures_millicelsius) == ((), (), {})


def test_limits_of_a_control_group_are_read_in_both_versions(tmp_path: Path) -> None:
    second = write(
        tmp_path / "v2",
        {
            "proc/self/cgroup": "0::/app\n",
            "sys/fs/cgroup/app/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/app/memory.max": "max\n",
            "sys/fs/cgroup/memory.max": "1073741824\n",
            "sys/fs/cgroup/app/cpu.stat": "nr_periods 10\nnr_throttled 7\n",
        },
    )
    first = write(
        tmp_path / "v1",
        {
            "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/box\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert (read_machine(second).processor_limit_cores, read_machine(second).memory_limit_bytes) == (1.5, 1 << 30)
    assert read_state(second).group_throttled_count == 7
    assert (read_machine(first).processor_limit_cores, read_machine(first).memory_limit_bytes) == (0.5, None)


def test_what_stands_between_process_and_hardware_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/cpuinfo": EPYC_CPUINFO, ".dockerenv": ""})
    here = read_machine(root, "x86_64")
    assert (here.container, here.virtual_machine, here.emulation) == ("docker", "hypervisor", None)
    assert here.isa_features == ("avx2", "avx512_vnni", "sse4_1")
    assert read_machine(root, "aarch64").emulation == "qemu-user"


def test_this_machine_can_be_read() -> None:
    assert (read_machine().cores or 0) >= 1
    assert MachineState.model_validate_json(read_state().model_dump_json()).time_utc


def test_a_quiet_machine_has_no_taint(pi: Path) -> None:
    for name in ("sys", "proc"):
        shutil.rmtree(pi / name)
    machine, state = read_machine(pi, "aarch64"), read_state(pi)
    assert taints(machine, (state, state), threads=1, emulated=None, self_tested=True) == ()


def test_a_pi_names_its_chip_and_its_cluster(pi: Path) -> None:
    write(pi, {"proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0"})
    write(pi, {"sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n"})
    machine = read_machine(pi, "aarch64")
    assert machine.soc == "brcm,bcm2712"
    (cluster,) = machine.clusters
    assert (cluster.part, cluster.max_khz, cluster.processors) == ("ARM Cortex-A76", 2400000, (0,))


def test_a_telephone_shows_its_chip_its_two_clusters_and_its_battery(tmp_path: Path) -> None:
    block = "processor\t: {}\nCPU implementer\t: 0x41\nCPU part\t: {}\n"
    highest = "sys/devices/system/cpu/cpu{}/cpufreq/cpuinfo_max_freq"
    root = write(
        tmp_path,
        {
            "proc/cpuinfo": "\n".join(block.format(n, "0xd05" if n < 2 else "0xd44") for n in range(3)),
            **{highest.format(n): "1800000" if n < 2 else "2800000" for n in range(3)},
            "vendor/build.prop": "ro.soc.manufacturer=Google\nro.soc.model=Tensor\n",
            "system/build.prop": "ro.product.model=Pixel 6\n",
            "sys/class/power_supply/battery/type": "Battery",
            "sys/class/power_supply/battery/status": "Discharging",
        },
    )
    machine = read_machine(root, "aarch64")
    assert (machine.board, machine.soc, machine.power_supply) == ("Pixel 6", "Google Tensor", "battery")
    assert [(c.part, c.max_khz, c.processors) for c in machine.clusters] == [
        ("ARM Cortex-A55", 1800000, (0, 1)),
        ("ARM Cortex-X1", 2800000, (2,)),
    ]
    write(root, {"sys/class/power_supply/usb/type": "USB", "sys/class/power_supply/usb/online": "1"})
    assert read_machine(root, "aarch64").power_supply == "mains"
    assert (read_state(root).charging, read_state(root).battery_percent) == (False, None)
    write(root, {"sys/class/power_supply/battery/status": "Charging", "sys/class/power_supply/battery/capacity": "15"})
    state = read_state(root)
    assert (state.charging, state.battery_filling, state.battery_percent) == (True, True, 15)
    write(root, {"sys/class/power_supply/battery/scope": "Device"})
    assert read_state(root).battery_percent is None, "a mouse's battery does not drive the machine"


def test_counters_of_energy_and_sensors_of_power_are_read(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/powercap/intel-rapl:0/name": "package-0",
            "sys/class/powercap/intel-rapl:0/energy_uj": "5000000",
            "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
            "sys/class/powercap/intel-rapl:0:0/energy_uj": "1",
            "sys/class/hwmon/hwmon2/name": "ina219",
            "sys/class/hwmon/hwmon2/power1_input": "3500000",
            "sys/class/hwmon/hwmon3/name": "amdgpu",
            "sys/class/hwmon/hwmon3/power1_input": "9",
        },
    )
    state = read_state(root)
    assert state.energy_microjoules == {"rapl:package-0": 5_000_000}
    assert state.energy_range_microjoules == {"rapl:package-0": 262143328850}
    assert state.power_microwatts == {"hwmon2:ina219": 3_500_000}


def test_the_rails_of_a_pi_5_add_up() -> None:
    text = " 3V3_SYS_A current(1)=0.10A\n VDD_CORE_A current(7)=2.00A\n VDD_CORE_V volt(15)=0.75V\n"
    text += " 3V3_SYS_V volt(9)=3.30V\n EXT5V_V volt(24)=5.10V\n"
    assert pmic_microwatts(text) == 1_830_000
    assert pmic_microwatts("VCHI initialization failed") is None


def test_the_account_of_processors_and_swap_is_read(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/stat": "cpu  1 2 3 4 5 6 7 8 0 0\n", "proc/vmstat": "pswpin 3\npswpout 4\n"})
    state = read_state(root)
    assert (state.busy_ticks, state.idle_ticks, state.steal_ticks) == (19, 9, 8)
    assert (state.swapped_in_pages, state.swapped_out_pages) == (3, 4)
