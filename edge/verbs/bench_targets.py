"""The options of `edge bench` that say where to measure."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from device_bench.targets.target import Target, TargetOptions, open_target, prepare_target, remove_from_target
from edge.errors import UsageError

OPTIONS = (
    click.option("--on", "on", multiple=True, metavar="TARGET", help="local, or another target; repeatable."),
    click.option("--python", "python", help="Interpreter on the target, with numpy and a runtime."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=1),
        help="Seconds until a job is given up; over SSH it is stopped there.",
    ),
    click.option("--resume", is_flag=True, help="Do not measure again what stands in -o, or runs on the device."),
    click.option("--cpu", help="Processor of an emulated target: cortex-a76."),
    click.option("--userland", type=click.Path(path_type=Path), help="Folder of an emulated target's userland."),
    click.option("--benchmark-binary", type=click.Path(path_type=Path), help="For a device without Python."),
    click.option("--ssh-config", type=click.Path(path_type=Path), help="Instead of your own ssh configuration."),
    click.option("--wheels", type=click.Path(path_type=Path), help="--prepare from these, without a network there."),
)
NAMES = ("python", "timeout_s", "resume", "cpu", "userland", "benchmark_binary", "ssh_config", "wheels")


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; it is called with `on` and NAMES as keywords."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def open_targets(on: Sequence[str], options: dict[str, Any]) -> list[Target]:
    """The targets named, this machine when there is none."""
    chosen = TargetOptions(**{name: options[name] for name in NAMES})
    return [open_target(name, chosen) for name in on or ("local",)]


def prepare_targets(
    on: Sequence[str], options: dict[str, Any], artifacts: Sequence[Path], *, remove: bool = False
) -> None:
    """Set the named targets up, or remove what is ours from them, one after the other; print what is there."""
    option = "--remove-agent" if remove else "--prepare"
    if artifacts:
        raise UsageError(f"{option} measures nothing: leave the artifacts away, then call edge bench again")
    if not on:
        raise UsageError(f"{option}: say which target with --on")
    chosen = TargetOptions(**{name: options[name] for name in NAMES})
    for name in on:
        click.echo(remove_from_target(name, chosen) if remove else prepare_target(name, chosen))
