"""Reads where power comes from and how much was used. Standard library only; nothing is ever set."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from device_bench.agent.readings import read_integer, read_text

VCGENCMD_TIMEOUT_S = 2.0
Counters = dict[str, int]


def power_supply(root: Path) -> str | None:
    """`mains` or `battery`; None where the system knows of no supply."""
    on_battery = None
    for folder in sorted((root / "sys/class/power_supply").glob("*")):
        kind, status = read_text(folder / "type"), read_text(folder / "status")
        if kind in ("Mains", "USB") and read_integer(folder / "online") == 1:
            return "mains"
        if kind == "Battery" and status is not None:
            on_battery = "battery" if status == "Discharging" else on_battery or "mains"
    return on_battery


def battery_facts(root: Path) -> dict[str, Any]:
    """The battery that drives the machine, as fields of MachineState; None each where there is none."""
    for folder in sorted((root / "sys/class/power_supply").glob("*")):
        if read_text(folder / "type") != "Battery" or read_text(folder / "scope") == "Device":  # that of a mouse
            continue
        status = read_text(folder / "status")
        return {
            "battery_percent": read_integer(folder / "capacity"),
            "charging": None if status is None else status != "Discharging",
            "battery_filling": None if status is None else status == "Charging",
        }
    return {"battery_percent": None, "charging": None, "battery_filling": None}


def energy_facts(root: Path, live: bool) -> dict[str, Any]:
    """Energy counters and power sensors, as fields of `device_bench.records.machine_state.MachineState`.

    RAPL's packages and hwmon's energy1_input count microjoules; INA sensors (power1_input) and a Raspberry Pi 5's power
    management (`vcgencmd pmic_read_adc`, all rails together) tell microwatts at this moment.
    """
    energy: Counters = {}
    ranges: Counters = {}
    power: Counters = {}
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        used = read_integer(zone / "energy_uj")
        if zone.name.count(":") == 1 and used is not None:
            name = f"rapl:{read_text(zone / 'name') or zone.name}"
            energy[name] = used
            most = read_integer(zone / "max_energy_range_uj")
            if most is not None:
                ranges[name] = most
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        name = f"{folder.name}:{read_text(folder / 'name') or 'sensor'}"
        used, now = read_integer(folder / "energy1_input"), read_integer(folder / "power1_input")
        if used is not None:
            energy[name] = used
        elif now is not None and name.partition(":")[2].startswith("ina"):
            power[name] = now
    rails = vcgencmd("pmic_read_adc") if live else None
    if rails is not None:
        drawn = pmic_microwatts(rails)
        if drawn is not None:
            power["pmic"] = drawn
    return {"energy_microjoules": energy, "energy_range_microjoules": ranges, "power_microwatts": power}


def pmic_microwatts(text: str) -> int | None:
    """The sum over rails of `NAME_A current(N)=X.XA` times `NAME_V volt(N)=X.XV`; None where no rail has both."""
    amperes: dict[str, float] = {}
    volts: dict[str, float] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        rail = name.split()[0] if name.split() else ""
        try:
            number = float(value[:-1])
        except ValueError:
            continue
        if equals and value.endswith("A") and rail.endswith("_A"):
            amperes[rail[:-2]] = number
        elif equals and value.endswith("V") and rail.endswith("_V"):
            volts[rail[:-2]] = number
    both = amperes.keys() & volts.keys()
    return round(sum(amperes[rail] * volts[rail] for rail in both) * 1e6) if both else None


def vcgencmd(question: str) -> str | None:
    """What a Raspberry Pi's firmware answers; None where there is no such program, or it fails."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        reply = subprocess.run(
            [program, question],
            capture_output=True,
            text=True,
            timeout=VCGENCMD_TIMEOUT_S,
            check=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return reply.stdout.strip()
