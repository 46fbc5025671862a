"""Reads what a machine is, as the fields of `device_bench.records.machine.Machine`: standard library only."""

import os
import platform
from pathlib import Path
from typing import Any

from device_bench.agent.power_facts import power_supply
from device_bench.agent.processor_facts import android_properties, clusters, part_name, soc
from device_bench.agent.readings import control_group, read_fields, read_integer, read_text
from edge.engines.emulation import emulator

ROOT = Path("/")

# Instruction sets that the kernels of the engines choose between, as /proc/cpuinfo spells them (x86, ARM).
# fmt: off
ISA_FEATURES = frozenset((
    "sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "neon", "vfpv4", "asimd", "asimdhp", "asimddp", "asimdrdm", "fphp", "i8mm", "bf16", "sve", "sve2", "sme",
))
# fmt: on
X86 = ("x86_64", "i386", "i686")
ARM = ("aarch64", "armv7l", "armv6l")


def machine_facts(root: Path = ROOT, architecture: str | None = None) -> dict[str, Any]:
    """Describe this machine. None: the system does not say.

    Args:
        root: a folder that stands for `/`.
        architecture: what the process runs as (`x86_64`, `aarch64`); None asks the system.
    """
    running_as = architecture or platform.machine()
    cpuinfo = read_fields(root / "proc/cpuinfo", ":")
    memory_kib = read_fields(root / "proc/meminfo", ":").get("MemTotal", "").removesuffix("kB").strip()
    properties = android_properties(root, root == ROOT)
    words = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    return {
        "system": _system(root),
        "architecture": running_as,
        "board": _board(root) or properties.get("ro.product.model"),
        "processor": part_name(cpuinfo),
        "soc": soc(root, properties),
        "clusters": clusters(root),
        "power_supply": power_supply(root),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "isa_features": tuple(sorted(ISA_FEATURES.intersection(words))),
        "memory_bytes": int(memory_kib) * 1024 if memory_kib.isdecimal() else None,
        "memory_limit_bytes": _memory_limit(root),
        "processor_limit_cores": _processor_limit(root),
        "container": _container(root),
        "virtual_machine": _virtual_machine(root, words),
        "emulation": _emulation(root, running_as, cpuinfo) or (emulator() if root == ROOT else None),
    }


def _system(root: Path) -> str:
    """Distribution and kernel: `Debian GNU/Linux 12 (bookworm), Linux 6.12.1`."""
    name = read_fields(root / "etc/os-release", "=").get("PRETTY_NAME", "").strip('"')
    kernel = f"{platform.system()} {platform.release()}"
    return f"{name}, {kernel}" if name else kernel


def _board(root: Path) -> str | None:
    model = read_text(root / "proc/device-tree/model")
    if model:
        return model
    vendor, product = (read_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name"))
    return " ".join(part for part in (vendor, product) if part) or None


def _memory_limit(root: Path) -> int | None:
    limits = []
    for folder in control_group(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = read_integer(folder / name)
            if limit is not None and limit < 1 << 60:  # version 1 writes nearly 2**63 for none
                limits.append(limit)
    return min(limits, default=None)


def _processor_limit(root: Path) -> float | None:
    limits = []
    for folder in control_group(root, "cpu"):
        quota_period = (read_text(folder / "cpu.max") or "").split()
        if len(quota_period) == 2 and all(word.isdecimal() for word in quota_period) and int(quota_period[1]):
            limits.append(int(quota_period[0]) / int(quota_period[1]))
        quota = read_integer(folder / "cpu.cfs_quota_us")
        period = read_integer(folder / "cpu.cfs_period_us")
        if quota is not None and quota > 0 and period:
            limits.append(quota / period)
    return min(limits, default=None)


def _container(root: Path) -> str | None:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = read_text(root / "proc/1/cgroup") or ""
    return next((name for name in ("kubepods", "docker", "containerd", "lxc") if name in groups), None)


def _virtual_machine(root: Path, words: list[str]) -> str | None:
    hypervisor = read_text(root / "sys/hypervisor/type")
    if hypervisor:
        return hypervisor
    compatible = read_text(root / "proc/device-tree/hypervisor/compatible")
    if compatible:
        return compatible
    return "hypervisor" if "hypervisor" in words else None


def _emulation(root: Path, architecture: str, cpuinfo: dict[str, str]) -> str | None:
    """User-mode emulation: the processor is of another family, or a binfmt interpreter is set up for our own one."""
    if architecture in ARM and "vendor_id" in cpuinfo:
        return "qemu-user"
    if architecture in X86 and "CPU implementer" in cpuinfo:
        return "user-mode, on ARM"
    name = "arm" if architecture.startswith("armv") else architecture
    registered = read_text(root / f"proc/sys/fs/binfmt_misc/qemu-{name}") or ""
    return "qemu-user" if registered.startswith("enabled") else None
