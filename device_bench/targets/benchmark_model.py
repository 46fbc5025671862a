"""TensorFlow Lite's published `benchmark_model`: its flags, and what it prints, read strictly.

It prints averages, not the single runs: microseconds with six significant digits. Newer builds add p5, median and p95.
"""

import re
from collections.abc import Mapping
from typing import Any

from device_bench.records.plan import Plan
from device_bench.records.record_types import LONGEST_NS
from edge.errors import EngineError, one_line

KERNELS: Mapping[str | None, str] = {None: "xnnpack", "xnnpack": "xnnpack", "builtin": "builtin"}
NEEDED = (
    "an arm64 build of TensorFlow Lite's benchmark_model, which the TensorFlow project publishes for Android "
    "(tensorflow/lite/tools/benchmark)"
)
NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
COUNTED = re.compile(r"^(?:INFO: )?count=\d+ (?:\w+=[^ ]+ ?)+(?:\(all same\))?$")
TIMINGS = re.compile(
    rf"Inference timings in us: Init: ({NUMBER}), First inference: ({NUMBER}), "
    rf"Warmup \(avg\): ({NUMBER}), Inference \(avg\): ({NUMBER})"
)
NS_PER_US = 1000
OPTIONAL = ("p5", "median", "p95")


def arguments(plan: Plan, kernels: str, graph: str, max_seconds: float) -> list[str]:
    """The flags of one round: every one that matters is said, so that no build's default decides."""
    return [
        f"--graph={graph}",
        f"--num_threads={plan.threads}",
        f"--use_xnnpack={'true' if kernels == 'xnnpack' else 'false'}",
        f"--num_runs={-(-plan.min_runs // plan.rounds)}",
        f"--min_secs={plan.min_duration_ns / plan.rounds / 1e9:g}",
        f"--max_secs={max_seconds:g}",
        f"--warmup_runs={max(plan.warmup_runs, 1)}",
        f"--warmup_min_secs={plan.warmup_duration_ns / 1e9:g}",
        "--enable_op_profiling=false",
    ]


def parse(text: str, where: str) -> dict[str, Any]:
    """What one run printed, in nanoseconds: `load_ns`, `first_ns`, and `warmup` and `measured` as Aggregates' fields.

    Raises:
        EngineError: the two lines of statistics or the line of timings are missing, or do not agree.
    """
    lines = [line.strip() for line in text.splitlines()]
    counted = [_aggregate(line, where) for line in lines if COUNTED.match(line)]
    timings = [match for line in lines if (match := TIMINGS.search(line))]
    if len(counted) != 2 or len(timings) != 1:
        raise EngineError(one_line(f"{where}: benchmark_model did not end its measurement; it said: {_said(lines)}"))
    init, first, _, mean = (_nanoseconds(word, where) for word in timings[0].groups())
    if abs(mean - counted[1]["mean_ns"]) > max(mean, 1) * 1e-4 + NS_PER_US:
        raise EngineError(f"{where}: benchmark_model prints two averages: {mean} and {counted[1]['mean_ns']} ns")
    return {"load_ns": init, "first_ns": first, "warmup": counted[0], "measured": counted[1]}


def _aggregate(line: str, where: str) -> dict[str, Any]:
    words = dict(word.split("=", 1) for word in line.removeprefix("INFO: ").split() if "=" in word)
    try:
        runs = int(words["count"])
        if "avg" not in words:  # every run took the same time
            words.update(dict.fromkeys(("min", "max", "avg"), words["curr"]), std="0")
        figures = {name: round(float(words[name]) * NS_PER_US) for name in ("min", "avg", "max", "std")}
        more = {f"{name}_ns": round(float(words[name]) * NS_PER_US) for name in OPTIONAL if name in words}
    except (KeyError, ValueError, OverflowError) as error:
        raise EngineError(
            one_line(f"{where}: benchmark_model prints {line[:120]!r}, which is not understood")
        ) from error
    return {
        "runs": runs,
        "min_ns": figures["min"],
        "mean_ns": min(max(figures["avg"], figures["min"]), figures["max"]),  # six digits may step over an end
        "max_ns": figures["max"],
        "std_ns": figures["std"],
        **more,
    }


def _nanoseconds(word: str, where: str) -> int:
    value = float(word) * NS_PER_US
    if not value <= LONGEST_NS:
        raise EngineError(f"{where}: benchmark_model prints a time of {word} us")
    return round(value)


def _said(lines: list[str]) -> str:
    """The last line that tells of an error, else the last line at all."""
    errors = [line for line in lines if re.search("error|fail|cannot|denied", line, re.IGNORECASE)]
    return next((line for line in reversed(errors or lines) if line), "nothing")
