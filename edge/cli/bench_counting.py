"""The options of `edge bench` for instruction counts on an emulated processor."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from click.core import ParameterSource

from device_bench.bench.instruction_baseline import compare, read_baseline, write_baseline
from device_bench.records.record import Record
from device_bench.targets.emulated_arm64.target import KIND
from edge.errors import UsageError
from edge.terminal import tell

OPTIONS = (
    click.option(
        "--baseline", metavar="FILE", type=click.Path(path_type=Path), help="Instruction counts, as JSON, for:"
    ),
    click.option("--check", is_flag=True, help="Exit code 1 where a count is over 0.5 % above the file's."),
    click.option("--write-baseline", is_flag=True, help="Write this measurement's counts into the file."),
)
# What stands in place of a default that was made for times: a count needs few runs, and nothing drifts.
COUNTING: Mapping[str, Any] = MappingProxyType(
    {
        "rounds": 1,
        "warmup_runs": 1,
        "warmup_seconds": 0.0,
        "max_warmup_seconds": 0.0,
        "min_runs": 3,
        "min_seconds": 0.0,
    }
)


def counting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; it is called with `baseline`, `check` and `write_baseline`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def counted(on: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options with the defaults of a count, where the target is an emulated processor.

    Raises:
        UsageError: times and counts in one call, or a baseline without a target that counts.
    """
    counting = [name.split(":")[0] == KIND for name in on]
    asked = options["check"] or options["write_baseline"]
    if asked and options["baseline"] is None:
        raise UsageError("--check and --write-baseline need --baseline FILE")
    if options["baseline"] is not None and not (options["check"] or options["write_baseline"]):
        raise UsageError("--baseline: say --check or --write-baseline")
    if options["check"] and options["write_baseline"]:
        raise UsageError("--check and --write-baseline: one of them")
    if not any(counting):
        if asked:
            raise UsageError(f"--baseline holds instruction counts; they are taken with --on {KIND}")
        return options
    if not all(counting):
        raise UsageError(f"--on {KIND} counts instructions, other targets measure time; call edge bench for each")
    if options["check"]:
        read_baseline(options["baseline"])  # refused before minutes of counting
    source = click.get_current_context().get_parameter_source
    plain = {name: value for name, value in COUNTING.items() if source(name) is ParameterSource.DEFAULT}
    return options | plain


def hold_to_baseline(records: Sequence[Record], options: Mapping[str, Any]) -> bool:
    """Write or check the baseline as asked; what was found goes to standard error. Returns whether all of it holds."""
    path = options["baseline"]
    if options["write_baseline"]:
        written = write_baseline(path, records)
        tell(f"{path}: {len(written.counts)} counts")
    if not options["check"]:
        return True
    found = compare(records, read_baseline(path))
    for comparison in found:
        tell(f"{'regression: ' if comparison.regressed else ''}{comparison.words}")
    return not any(comparison.regressed for comparison in found)
