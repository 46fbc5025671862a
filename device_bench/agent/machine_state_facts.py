"""Reads how a machine stands, as the fields of `device_bench.machine_state.MachineState`: standard library only."""

import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from device_bench.agent.gpu_state import gpu_facts
from device_bench.readings import control_group, read_fields, read_integer, read_text

ROOT = Path("/")
VCGENCMD_TIMEOUT_S = 2.0


def state_facts(root: Path = ROOT) -> dict[str, Any]:
    """Read the state of this machine; `root` is a folder that stands for `/`."""
    processors = sorted(
        (folder for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")), key=lambda path: int(path.name[3:])
    )
    governors = {read_text(folder / "cpufreq/scaling_governor") for folder in processors}
    frequencies = [read_integer(folder / "cpufreq/scaling_cur_freq") for folder in processors]
    events = [read_integer(folder / "thermal_throttle/core_throttle_count") for folder in processors]
    available_kib = read_fields(root / "proc/meminfo", ":").get("MemAvailable", "").removesuffix("kB").strip()
    load = (read_text(root / "proc/loadavg") or "").split()
    return {
        "time_utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),  # noqa: UP017 (Python 3.9)
        "governors": tuple(sorted(name for name in governors if name is not None)),
        "frequencies_khz": tuple(value for value in frequencies if value is not None),
        "temperatures_millicelsius": _temperatures(root),
        "throttled_bits": _throttled_bits(root),
        "thermal_throttle_count": _sum(events),
        "group_throttled_count": _group_throttled(root),
        "load_average_1m": float(load[0]) if load else None,
        "memory_available_bytes": int(available_kib) * 1024 if available_kib.isdecimal() else None,
        "steal_ticks": _steal_ticks(root),
        "gpus": tuple(gpu_facts()) if root == ROOT else (),
    }


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
