"""Reads how a machine stands, by the standard library alone.

The facts are the fields of `device_bench.records.machine_state.MachineState`. They are read between blocks, never
within one: 0.5 to 2 ms for a machine of two to eight processors (files of /proc and /sys alone); on a Raspberry Pi each
question to `vcgencmd`, with an NVIDIA GPU one to `nvidia-smi`, adds its process.
"""

import os
import resource
import shutil
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from device_bench.agent.gpu_state import gpu_facts
from device_bench.agent.power_facts import battery_facts, energy_facts, vcgencmd
from device_bench.agent.readings import control_group, read_fields, read_integer, read_text

ROOT = Path("/")


def state_facts(root: Path = ROOT) -> dict[str, Any]:
    """Read the state of this machine; `root` is a folder that stands for `/`. JSON-ready but for its tuples."""
    processors = sorted(
        (folder for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")), key=lambda path: int(path.name[3:])
    )
    governors = {read_text(folder / "cpufreq/scaling_governor") for folder in processors}
    frequencies = [read_integer(folder / "cpufreq/scaling_cur_freq") for folder in processors]
    events = [read_integer(folder / "thermal_throttle/core_throttle_count") for folder in processors]
    memory = read_fields(root / "proc/meminfo", ":")
    available_kib = memory.get("MemAvailable", "").removesuffix("kB").strip()
    load = (read_text(root / "proc/loadavg") or "").split()
    swapped = read_fields(root / "proc/vmstat")
    return {
        "time_utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),  # noqa: UP017 (datetime.UTC is newer than Python 3.10)
        "governors": tuple(sorted(name for name in governors if name is not None)),
        "frequencies_khz": tuple(value for value in frequencies if value is not None),
        "temperatures_millicelsius": _temperatures(root),
        "throttled_bits": _throttled_bits(root),
        "thermal_throttle_count": _sum(events),
        "group_throttled_count": _group_throttled(root),
        "load_average_1m": float(load[0]) if load else None,
        "memory_available_bytes": int(available_kib) * 1024 if available_kib.isdecimal() else None,
        "swapped_in_pages": _integer(swapped.get("pswpin", "")),
        "swapped_out_pages": _integer(swapped.get("pswpout", "")),
        **_processor_time(root),
        **_clocks(),
        **battery_facts(root),
        **energy_facts(root, root == ROOT),
        "gpus": gpu_facts() if root == ROOT and shutil.which("nvidia-smi") else [],
    }


def _clocks() -> dict[str, int]:
    """This process's own account, and the clocks: read at the same moment as the processors' account."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    monotonic_ns = time.monotonic_ns()
    return {
        "monotonic_ns": monotonic_ns,
        "wall_minus_monotonic_ns": time.time_ns() - monotonic_ns,
        "own_processor_ns": round((used.ru_utime + used.ru_stime) * 1e9),
        "voluntary_switches": used.ru_nvcsw,
        "involuntary_switches": used.ru_nivcsw,
    }


def _processor_time(root: Path) -> dict[str, int | None]:
    """/proc/stat's first line, all processors together: user nice system idle iowait irq softirq steal."""
    words = read_fields(root / "proc/stat").get("cpu", "").split()
    ticks = [int(word) for word in words if word.isdecimal()]
    if len(ticks) < 8:
        return {"busy_ticks": None, "idle_ticks": None, "steal_ticks": None, "ticks_per_second": None}
    user, nice, system, idle, waiting, interrupts, soft_interrupts, steal = ticks[:8]
    return {
        "busy_ticks": user + nice + system + interrupts + soft_interrupts,
        "idle_ticks": idle + waiting,
        "steal_ticks": steal,
        "ticks_per_second": os.sysconf("SC_CLK_TCK"),
    }


def _integer(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _temperatures(root: Path) -> dict[str, int]:
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        value = read_integer(zone / "temp")
        if value is not None:
            kind = read_text(zone / "type") or "zone"
            found[f"{zone.name[len('thermal_zone') :]}:{kind}"] = value
    return found


def _throttled_bits(root: Path) -> int | None:
    """From the firmware's file, else from `vcgencmd get_throttled` (`throttled=0x50000`) on the running system."""
    text = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if text is None and root == ROOT:
        reply = vcgencmd("get_throttled")
        text = reply.partition("=")[2] if reply is not None else None
    try:
        return int(text, 16) if text else None
    except ValueError:
        return None


def _group_throttled(root: Path) -> int | None:
    counts = []
    for folder in control_group(root, "cpu"):
        text = read_fields(folder / "cpu.stat").get("nr_throttled", "")
        if text.isdecimal():
            counts.append(int(text))
    return max(counts, default=None)
