"""NVIDIA GPUs as `nvidia-smi` tells of them: names, clocks, temperature, power. Nothing is ever set."""

import csv
import io
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

COMMAND = "nvidia-smi"
TIMEOUT_SECONDS = 10.0
# What is asked, in the order of the answer's columns.
QUERY = (
    "index",
    "name",
    "driver_version",
    "pstate",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "utilization.gpu",
    "clocks_throttle_reasons.active",
)
Ask = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU at one moment; None for what the driver does not say.

    Attributes:
        performance_state: `P0` is the fastest. sm_mhz, memory_mhz, max_sm_mhz: clocks.
        throttle_reasons: NVML's bits of why the clocks are below what they could be; bit 0 is an idle GPU.
    """

    index: int
    name: str
    driver: str | None
    performance_state: str | None
    sm_mhz: int | None
    memory_mhz: int | None
    max_sm_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    power_limit_w: float | None
    busy_percent: int | None
    throttle_reasons: int | None


def read_gpus(ask: Ask | None = None) -> tuple[Gpu, ...]:
    """The GPUs here, in the driver's order; none where `nvidia-smi` is missing, fails or finds none."""
    text = (run_nvidia_smi if ask is None else ask)([f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"])
    return () if text is None else parse_gpus(text)


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The answer to QUERY as CSV without units; rows that are no such answer are omitted."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text))]
    return tuple(_gpu(row) for row in rows if len(row) == len(QUERY) and row[0].isdecimal())


def gpu_name(gpus: Sequence[Gpu]) -> str | None:
    """The name of the GPU that a process uses: known only where all of them bear the same one."""
    names = {gpu.name for gpu in gpus}
    return names.pop() if len(names) == 1 else None


def run_nvidia_smi(arguments: Sequence[str]) -> str | None:
    """What `nvidia-smi` prints; None where it is missing, fails or does not answer in time."""
    program = shutil.which(COMMAND)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # not executable, or a driver that hangs
        return None
    return done.stdout if done.returncode == 0 else None


def _gpu(row: Sequence[str]) -> Gpu:
    told = dict(zip(QUERY, row, strict=True))
    return Gpu(
        index=int(told["index"]),
        name=told["name"],
        driver=_text(told["driver_version"]),
        performance_state=_text(told["pstate"]),
        sm_mhz=_whole(told["clocks.sm"]),
        memory_mhz=_whole(told["clocks.mem"]),
        max_sm_mhz=_whole(told["clocks.max.sm"]),
        temperature_c=_whole(told["temperature.gpu"]),
        power_w=_real(told["power.draw"]),
        power_limit_w=_real(told["power.limit"]),
        busy_percent=_whole(told["utilization.gpu"]),
        throttle_reasons=_bits(told["clocks_throttle_reasons.active"]),
    )


def _text(cell: str) -> str | None:
    """None for `[N/A]`, `[Not Supported]` and the like."""
    return None if not cell or cell.startswith("[") or cell == "N/A" else cell


def _whole(cell: str) -> int | None:
    return int(cell) if cell.isdecimal() else None


def _real(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _bits(cell: str) -> int | None:
    try:
        return int(cell, 16)
    except ValueError:
        return None
