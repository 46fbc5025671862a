"""What an Android device says of itself over its shell: the machine, and how it stands at one moment."""

import time
from collections.abc import Callable
from typing import Any

MACHINE_SCRIPT = """
for p in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model ro.hardware \
ro.build.version.release ro.product.cpu.abi ro.kernel.qemu ro.boot.qemu; do echo "$p=$(getprop $p)"; done
echo "uname=$(uname -m)"; echo "kernel=$(uname -r)"; echo "usable=$(nproc)"
echo "cores=$(grep -c '^processor' /proc/cpuinfo)"; echo "features=$(grep -m 1 '^Features' /proc/cpuinfo)"
echo "memory=$(grep '^MemTotal' /proc/meminfo)"
"""
STATE_SCRIPT = """
for f in /sys/devices/system/cpu/cpu[0-9]*/cpufreq; do
[ -r $f/scaling_governor ] && echo "governor=$(cat $f/scaling_governor)"
[ -r $f/scaling_cur_freq ] && echo "frequency=$(cat $f/scaling_cur_freq)"; done
for z in /sys/class/thermal/thermal_zone*; do [ -r $z/temp ] && echo "zone=$(cat $z/type):$(cat $z/temp)"; done
echo "load=$(cat /proc/loadavg)"; echo "available=$(grep '^MemAvailable' /proc/meminfo)"
dumpsys battery | sed -n 's/^ *level: /level=/p; s/^ *status: /battery=/p; s/^ *.* powered: true/powered=true/p'
dumpsys thermalservice | sed -n 's/^ *Thermal Status: /thermal=/p'
dumpsys power | sed -n 's/^ *mWakefulness=/wakefulness=/p'
true
"""
MOST_DIGITS = 15  # what has more is no figure of a device
FILLING = "2"  # BatteryManager's BATTERY_STATUS_CHARGING; 3 discharging, 4 not charging, 5 full
SMALLEST_MILLICELSIUS, LARGEST_MILLICELSIUS = 1000, 200_000  # zones in other units are left away, not guessed


def android_machine(shell: Callable[[str], str]) -> dict[str, Any]:
    """The fields of `device_bench.records.machine.Machine`; None where the device does not say."""
    told = _lists(shell(MACHINE_SCRIPT))

    def first(name: str) -> str | None:
        return next(iter(told.get(name, [])), None)

    memory = _kibibytes(first("memory"))
    features = (first("features") or "").partition(":")[2].split()
    board = " ".join(word for word in (first("ro.product.manufacturer"), first("ro.product.model")) if word)
    processor = " ".join(word for word in (first("ro.soc.manufacturer"), first("ro.soc.model")) if word)
    virtual = "1" in (first("ro.kernel.qemu"), first("ro.boot.qemu"))
    return {
        "system": f"Android {first('ro.build.version.release') or '(version unknown)'}, Linux {first('kernel') or ''}",
        "architecture": first("uname") or "unknown",
        "board": board or None,
        "processor": processor or first("ro.hardware"),
        "cores": _whole(first("cores")),
        "usable_cores": _whole(first("usable")),
        "isa_features": sorted(set(features)),
        "memory_bytes": memory,
        "memory_limit_bytes": None,
        "processor_limit_cores": None,
        "container": None,
        "virtual_machine": "Android emulator" if virtual else None,
        "emulation": None,
    }


def android_state(shell: Callable[[str], str]) -> dict[str, Any]:
    """The fields of `records.machine_state.MachineState`, battery, screen and thermal status among them."""
    told = _lists(shell(STATE_SCRIPT))
    zones: dict[str, int] = {}
    for entry in told.get("zone", []):
        name, _, text = entry.rpartition(":")
        value = _whole(text)
        if value is not None and SMALLEST_MILLICELSIUS <= value <= LARGEST_MILLICELSIUS:
            zones[name] = max(value, zones.get(name, value))
    wakefulness = told.get("wakefulness", [None])[0]
    level = _whole(told.get("level", [None])[0])
    return {
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "governors": sorted(set(told.get("governor", []))),
        "frequencies_khz": [value for text in told.get("frequency", []) if (value := _whole(text)) is not None],
        "temperatures_millicelsius": zones,
        "throttled_bits": None,
        "thermal_throttle_count": None,
        "group_throttled_count": None,
        "load_average_1m": _real(told.get("load", [""])[0].split()),
        "memory_available_bytes": _kibibytes(told.get("available", [None])[0]),
        "steal_ticks": None,
        "battery_percent": level,
        "charging": None if level is None else "powered" in told,
        "battery_filling": told["battery"][0] == FILLING if "battery" in told else None,
        "screen_on": None if wakefulness is None else wakefulness == "Awake",
        "thermal_status": _whole(told.get("thermal", [None])[0]),
    }


def _lists(text: str) -> dict[str, list[str]]:
    """Lines `name=value`; empty values are left away."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if value.strip():
            found.setdefault(name, []).append(value.strip())
    return found


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) <= MOST_DIGITS else None


def _real(words: list[str]) -> float | None:
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None


def _kibibytes(line: str | None) -> int | None:
    """`MemTotal: 123 kB` in bytes."""
    words = (line or "").split()
    count = _whole(words[1]) if len(words) == 3 and words[2] == "kB" else None
    return None if count is None else count * 1024
