"""Reads what the processors are: the system on a chip, and clusters of equal cores. Standard library only."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from device_bench.agent.readings import read_fields, read_integer, read_text

GETPROP_TIMEOUT_S = 2.0
PROPERTIES = ("ro.soc.manufacturer", "ro.soc.model", "ro.board.platform", "ro.product.model")
ARM_IMPLEMENTERS = {"0x41": "ARM", "0x51": "Qualcomm", "0x61": "Apple", "0x48": "HiSilicon", "0x4e": "NVIDIA"}
ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2",
    "0xd4d": "Cortex-A715",
    "0xd4e": "Cortex-X3",
    "0xd4f": "Neoverse-V2",
    "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720",
}
Properties = dict[str, str]


def android_properties(root: Path, live: bool) -> Properties:
    """Android's properties out of its build.prop files; what they lack is asked of `getprop` on the running system."""
    found: Properties = {}
    for name in ("system/build.prop", "vendor/build.prop"):
        for key, value in read_fields(root / name, "=").items():
            found.setdefault(key, value)
    program = shutil.which("getprop") if live else None
    for key in PROPERTIES if program is not None else ():
        if key not in found:
            value = _getprop(str(program), key)
            if value:
                found[key] = value
    return found


def _getprop(program: str, key: str) -> str:
    try:
        reply = subprocess.run(
            [program, key], capture_output=True, text=True, timeout=GETPROP_TIMEOUT_S, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return reply.stdout.strip()


def soc(root: Path, properties: Properties) -> str | None:
    """`brcm,bcm2712`: the most general name of the device tree; else Android's maker and model."""
    compatible = read_text(root / "proc/device-tree/compatible")
    if compatible:
        return [name for name in compatible.split("\0") if name][-1]
    words = [properties[key] for key in PROPERTIES[:2] if properties.get(key)]
    return " ".join(words) or properties.get("ro.board.platform")


def part_name(fields: Properties) -> str | None:
    """`ARM Cortex-A76` or `AMD EPYC 7763`; None where a block of /proc/cpuinfo names neither."""
    if fields.get("model name"):
        return fields["model name"]
    implementer, part = fields.get("CPU implementer"), fields.get("CPU part")
    if implementer is None or part is None:
        return None
    return f"{ARM_IMPLEMENTERS.get(implementer, implementer)} {ARM_PARTS.get(part, part)}"


def clusters(root: Path) -> list[dict[str, Any]]:
    """Processors of the same part and highest clock together: `part`, `max_khz`, `processors` (numbers)."""
    found: dict[tuple[str | None, int | None], list[int]] = {}
    for block in (read_text(root / "proc/cpuinfo") or "").split("\n\n"):
        fields: Properties = {}
        for line in block.splitlines():
            key, colon, value = line.partition(":")
            if colon:
                fields.setdefault(key.strip(), value.strip())
        number = fields.get("processor", "")
        if number.isdecimal():
            highest = read_integer(root / f"sys/devices/system/cpu/cpu{number}/cpufreq/cpuinfo_max_freq")
            found.setdefault((part_name(fields), highest), []).append(int(number))
    return [{"part": part, "max_khz": khz, "processors": numbers} for (part, khz), numbers in found.items()]
