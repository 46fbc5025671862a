"""NVIDIA GPUs as a part of a machine's state: clocks, temperature, power, read from nvidia-smi and never set."""

from collections.abc import Sequence
from typing import Any

from edge.engines.nvidia_smi import Ask, Gpu, read_gpus

# NVML's bits of why a clock is below what it could be; an idle GPU (bit 0) and clocks set by an application (bit 1)
# are nobody's disturbance.
THROTTLE_REASONS = {
    2: "software power cap",
    3: "hardware slowdown",
    4: "sync boost",
    5: "software thermal slowdown",
    6: "hardware thermal slowdown",
    7: "hardware power brake",
    8: "display clock",
}


def gpu_facts(ask: Ask | None = None) -> list[dict[str, Any]]:
    """One dictionary of JSON-ready fields per GPU, the fields of `Gpu`; empty where there is none."""
    return [dict(vars(gpu)) for gpu in read_gpus(ask)]


def throttle_words(reasons: int | None) -> list[str]:
    """What holds the clocks down, in words; empty for None and for an idle GPU."""
    return [] if reasons is None else [words for bit, words in THROTTLE_REASONS.items() if reasons >> bit & 1]


def gpu_words(gpus: Sequence[Gpu] | None = None) -> list[str]:
    """One line per GPU for a person."""
    return [_words(gpu) for gpu in (read_gpus() if gpus is None else gpus)]


def _words(gpu: Gpu) -> str:
    parts = [f"GPU {gpu.index} {gpu.name}"]
    for value, unit in (
        (gpu.driver, "driver {}"),
        (gpu.performance_state, "{}"),
        (gpu.sm_mhz, "SM {} MHz"),
        (gpu.max_sm_mhz, "of {} MHz"),
        (gpu.memory_mhz, "memory {} MHz"),
        (gpu.temperature_c, "{} C"),
        (gpu.power_w, "{} W"),
        (gpu.power_limit_w, "of {} W"),
    ):
        if value is not None:
            parts.append(unit.format(value))
    return ", ".join([*parts, *throttle_words(gpu.throttle_reasons)])
