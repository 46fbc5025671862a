"""The options of `edge bench` and `edge probe` that say where."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from device_bench.targets.target import Target, TargetOptions, open_target, prepare_target, remove_from_target
from edge.errors import UsageError

PLACES = (
    click.option(
        "--on",
        "on",
        multiple=True,
        metavar="TARGET",
        help="local (the default), ssh://[USER@]HOST[:PORT], adb[:SERIAL] or emulated-arm64[:FOLDER]; repeatable.",
    ),
    click.option("--python", "python", metavar="PATH", help="Interpreter on the target, with numpy and a runtime."),
    click.option(
        "--ssh-config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="ssh: this configuration instead of your own.",
    ),
    click.option("--cpu", metavar="CORE", help="emulated-arm64: cortex-a53, cortex-a72 (the default) or cortex-a76."),
    click.option(
        "--userland",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="emulated-arm64: where its userland was built.",
    ),
)
JOBS = (
    click.option(
        "--timeout",
        "timeout_s",
        metavar="SECONDS",
        type=click.FloatRange(min=1),
        help="Give a job up after so long, and stop it there.",
    ),
    click.option(
        "--resume", is_flag=True, help="Take what stands in -o already, and collect a job that still runs over ssh."
    ),
    click.option(
        "--benchmark-binary",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="adb: TensorFlow Lite's benchmark_model for arm64, which measures there.",
    ),
    click.option(
        "--wheels",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="With --prepare: send these wheels; the device needs no network.",
    ),
)
NAMES = ("python", "timeout_s", "resume", "cpu", "userland", "benchmark_binary", "ssh_config", "wheels")


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a target to a command; it is called with `on` and some of NAMES as keywords."""
    for option in reversed(PLACES):
        command = option(command)
    return command


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options about targets to a command; it is called with `on` and NAMES as keywords."""
    for option in reversed(JOBS):
        command = option(command)
    return place_options(command)


def chosen(options: dict[str, Any], *, measures: bool = True) -> TargetOptions:
    """What the options say about a target; those that the verb does not have are as if left out."""
    return TargetOptions(**{name: options[name] for name in NAMES if name in options}, measures=measures)


def open_targets(on: Sequence[str], options: dict[str, Any]) -> list[Target]:
    """The targets named, this machine when there is none."""
    return [open_target(name, chosen(options)) for name in on or ("local",)]


def prepare_targets(
    on: Sequence[str], options: dict[str, Any], artifacts: Sequence[Path], *, remove: bool = False
) -> None:
    """Set the named targets up, or remove what is ours from them, one after the other; print what is there."""
    option = "--remove-agent" if remove else "--prepare"
    if artifacts:
        raise UsageError(f"{option} measures nothing: leave the artifacts away, then call edge bench again")
    if not on:
        raise UsageError(f"{option}: say which target with --on")
    for name in on:
        click.echo(remove_from_target(name, chosen(options)) if remove else prepare_target(name, chosen(options)))
