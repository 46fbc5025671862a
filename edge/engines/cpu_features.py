"""Which instruction sets this processor offers to a family of kernels: read from the kernel, never guessed."""

import os
import platform
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from edge.engines.emulation import emulator

CPUINFO = Path("/proc/cpuinfo")
AUXV = Path("/proc/self/auxv")
# Linux's arm64 user interface: entries of the auxiliary vector, and the bits in them.
AT_HWCAP, AT_HWCAP2 = 16, 26
HWCAP: Mapping[str, int] = MappingProxyType({"asimd": 1, "asimdhp": 10, "asimddp": 20, "sve": 22})
HWCAP2: Mapping[str, int] = MappingProxyType({"sve2": 1, "i8mm": 13, "bf16": 14})

SKYLAKE = ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")
# (family, machine) -> (name, features it needs), the widest first: what the family's sources choose among at run time.
# A family or machine that is not listed is unknown, and its answer None.
LEVELS: Mapping[tuple[str, str], tuple[tuple[str, tuple[str, ...]], ...]] = MappingProxyType(
    {
        ("xnnpack", "x86_64"): (
            ("avx512vnni", (*SKYLAKE, "avx512_vnni")),
            ("avx512skx", SKYLAKE),
            ("avx2", ("avx2",)),
            ("avx", ("avx",)),
            ("sse4.1", ("sse4_1",)),
        ),
        ("xnnpack", "aarch64"): (("i8mm", ("asimddp", "i8mm")), ("dotprod", ("asimddp",)), ("neon", ("asimd",))),
        # The XNNPACK that tflite-runtime 2.14 holds has neither VNNI nor i8mm kernels.
        ("xnnpack-2.14", "x86_64"): (
            ("avx512skx", SKYLAKE),
            ("avx2", ("avx2",)),
            ("avx", ("avx",)),
            ("sse4.1", ("sse4_1",)),
        ),
        ("xnnpack-2.14", "aarch64"): (("dotprod", ("asimddp",)), ("neon", ("asimd",))),
        # ruy, under TensorFlow Lite's built-in kernels.
        ("ruy", "aarch64"): (("dotprod", ("asimddp",)), ("neon", ("asimd",))),
        ("mlas", "x86_64"): (
            ("avx512vnni", (*SKYLAKE, "avx512_vnni")),
            ("avx512skx", SKYLAKE),
            ("avx2", ("avx2", "fma")),
            ("avx", ("avx",)),
        ),
        ("mlas", "aarch64"): (("i8mm", ("asimddp", "i8mm")), ("dotprod", ("asimddp",)), ("neon", ("asimd",))),
    }
)


def kernels_isa(family: str, *, machine: str | None = None, features: frozenset[str] | None = None) -> str | None:
    """The widest instruction set that this processor offers and that a family of kernels chooses at run time.

    It says what the kernels can use here. That one operator's kernel uses it is not shown by it.

    Args:
        family: `xnnpack`, `xnnpack-2.14`, `mlas` or `ruy`.
        machine, features: as `platform.machine()` and `cpu_features()` say; None reads them.

    Returns:
        A name of LEVELS, or None where the family, the machine or its features are unknown.
    """
    found = cpu_features() if features is None else features
    for name, needed in LEVELS.get((family, platform.machine() if machine is None else machine), ()):
        if found.issuperset(needed):
            return name
    return None


def cpu_features() -> frozenset[str]:
    """Features of the processor that this process runs on, by the names in `/proc/cpuinfo`; empty where unknown.

    On x86-64 the flags of the first processor in `/proc/cpuinfo`, on aarch64 the auxiliary vector, which an emulator
    answers for the processor that it plays. An emulated x86-64 shows the flags of the real machine: unknown.
    """
    try:
        if platform.machine() == "x86_64" and emulator() is None:
            return cpuinfo_flags(CPUINFO.read_text(encoding="utf-8", errors="replace"))
        if platform.machine() == "aarch64":
            return auxv_features(AUXV.read_bytes())
    except OSError:  # not Linux, or /proc is not mounted
        return frozenset()
    return frozenset()


def cpuinfo_flags(text: str) -> frozenset[str]:
    """The `flags` of the first processor in the text of `/proc/cpuinfo`; empty without such a line."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def auxv_features(data: bytes) -> frozenset[str]:
    """Features of an aarch64 process by its auxiliary vector: pairs of 64-bit words, little-endian."""
    found: set[str] = set()
    for entry, value in struct.iter_unpack("<QQ", data[: len(data) // 16 * 16]):
        bits = {AT_HWCAP: HWCAP, AT_HWCAP2: HWCAP2}.get(entry, {})
        found.update(name for name, bit in bits.items() if value >> bit & 1)
    return frozenset(found)


def affinity() -> tuple[int, ...] | None:
    """Processors that this process may run on, in order; None where the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    return tuple(sorted(os.sched_getaffinity(0)))
