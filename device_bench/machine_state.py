"""How a machine stands at one moment: governor, clocks, heat, throttling, load."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from device_bench.readings import control_group, read_fields, read_integer, read_text

ROOT = Path("/")
VCGENCMD_TIMEOUT_S = 2.0
Count = Annotated[int, Field(ge=0)]

# Bits of a Raspberry Pi's throttled word; 16 bits higher: the same, at some time since the start.
THROTTLED_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


class MachineState(BaseModel):
    """The state of a machine at `time_utc`. None or empty: the system does not say.

    Attributes:
        governors: frequency governors in use, each once.
        frequencies_khz: last requested frequency of every processor, in order.
        temperatures_millicelsius: by thermal zone.
        throttled_bits: a Raspberry Pi's word, see THROTTLED_BITS.
        thermal_throttle_count: events counted by x86 cores since the start, all cores together.
        group_throttled_count: periods in which the control group's processor limit stopped its processes.
        load_average_1m: processes running or waiting, averaged over a minute.
        steal_ticks: ticks that the hypervisor gave to others since the start, all processors together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    time_utc: str
    governors: tuple[str, ...]
    frequencies_khz: tuple[Count, ...]
    temperatures_millicelsius: dict[str, int]
    throttled_bits: Count | None
    thermal_throttle_count: Count | None
    group_throttled_count: Count | None
    load_average_1m: float | None
    memory_available_bytes: Count | None
    steal_ticks: Count | None


def read_state(root: Path = ROOT) -> MachineState:
    """Read the state of this machine; `root` is a folder that stands for `/`."""
    processors = sorted(
        (folder for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")), key=lambda path: int(path.name[3:])
    )
    governors = {read_text(folder / "cpufreq/scaling_governor") for folder in processors}
    frequencies = [read_integer(folder / "cpufreq/scaling_cur_freq") for folder in processors]
    events = [read_integer(folder / "thermal_throttle/core_throttle_count") for folder in processors]
    available_kib = read_fields(root / "proc/meminfo", ":").get("MemAvailable", "").removesuffix("kB").strip()
    load = (read_text(root / "proc/loadavg") or "").split()
    return MachineState(
        time_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        governors=tuple(sorted(name for name in governors if name is not None)),
        frequencies_khz=tuple(value for value in frequencies if value is not None),
        temperatures_millicelsius=_temperatures(root),
        throttled_bits=_throttled_bits(root),
        thermal_throttle_count=_sum(events),
        group_throttled_count=_group_throttled(root),
        load_average_1m=float(load[0]) if load else None,
        memory_available_bytes=int(available_kib) * 1024 if available_kib.isdecimal() else None,
        steal_ticks=_steal_ticks(root),
    )


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _temperatures(root: Path) -> dict[str, int]:
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = read_integer(zone / "temp")
        if value is not None:
            kind = read_text(zone / "type") or "zone"
            found[f"{zone.name.removeprefix('thermal_zone')}:{kind}"] = value
    return found


def _throttled_bits(root: Path) -> int | None:
    """From the firmware's file, else from `vcgencmd get_throttled` (`throttled=0x50000`) on the running system."""
    text = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    program = shutil.which("vcgencmd") if root == ROOT else None
    if text is None and program is not None:
        try:
            answer = subprocess.run(
                [program, "get_throttled"], capture_output=True, text=True, timeout=VCGENCMD_TIMEOUT_S, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        text = answer.stdout.strip().removeprefix("throttled=")
    try:
        return int(text, 16) if text is not None else None
    except ValueError:
        return None


def _group_throttled(root: Path) -> int | None:
    counts = []
    for folder in control_group(root, "cpu"):
        text = read_fields(folder / "cpu.stat").get("nr_throttled", "")
        if text.isdecimal():
            counts.append(int(text))
    return max(counts, default=None)


def _steal_ticks(root: Path) -> int | None:
    """The eighth number of /proc/stat's first line: user nice system idle iowait irq softirq steal."""
    fields = read_fields(root / "proc/stat").get("cpu", "").split()
    return int(fields[7]) if len(fields) > 7 and fields[7].isdecimal() else None
