"""The options of `edge bench` that say where to measure."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from device_bench.targets.target import Target, TargetOptions, open_target, prepare_target
from edge.errors import UsageError

OPTIONS = (
    click.option("--on", "on", multiple=True, metavar="TARGET", help="local, or another target; repeatable."),
    click.option("--python", "python", help="Interpreter on the target, with numpy and a runtime."),
    click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), help="Seconds without a sign of life."),
    click.option("--resume", is_flag=True, help="Do not measure again what stands in -o for the same job and target."),
    click.option("--cpu", help="Processor of an emulated target: cortex-a76."),
    click.option("--userland", type=click.Path(path_type=Path), help="Folder of an emulated target's userland."),
    click.option("--benchmark-binary", type=click.Path(path_type=Path), help="For a device without Python."),
)
NAMES = ("python", "timeout_s", "resume", "cpu", "userland", "benchmark_binary")


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; it is called with `on` and NAMES as keywords."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def open_targets(on: Sequence[str], options: dict[str, Any]) -> list[Target]:
    """The targets named, this machine when there is none."""
    chosen = TargetOptions(**{name: options[name] for name in NAMES})
    return [open_target(name, chosen) for name in on or ("local",)]


def prepare_targets(on: Sequence[str], options: dict[str, Any], artifacts: Sequence[Path]) -> None:
    """Set the named targets up, one after the other, and print what is there."""
    if artifacts:
        raise UsageError("--prepare measures nothing: leave the artifacts away, then call edge bench again")
    if not on:
        raise UsageError("--prepare: say which target with --on")
    chosen = TargetOptions(**{name: options[name] for name in NAMES})
    for name in on:
        click.echo(prepare_target(name, chosen))
