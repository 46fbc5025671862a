"""The options of `edge bench` and `edge probe` that say where."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from device_bench.targets.target import (
    TARGETS,
    Target,
    TargetOptions,
    open_target,
    prepare_target,
    remove_from_target,
)
from device_bench.targets.unopened import Unopened
from edge.cli.bounded_number import Number
from edge.errors import EngineError, UsageError
from edge.terminal import say, tell

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
        type=Number(min=1),
        help="Stop a job that takes longer than this.",
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


# option that means something to some kinds of targets only -> these kinds
OWNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "python": ("local", "ssh"),
        "ssh_config": ("ssh",),
        "wheels": ("ssh",),
        "cpu": ("emulated-arm64",),
        "userland": ("emulated-arm64",),
        "benchmark_binary": ("adb",),
    }
)


def chosen(on: Sequence[str], options: dict[str, Any], *, measures: bool = True) -> list[TargetOptions]:
    """For every target named, what the options say about it; an option that means nothing to any is refused.

    Options that the verb does not have are as if omitted.
    """
    kinds = [name.split(":", 1)[0] for name in on]
    for option, owners in OWNERS.items():
        if options.get(option) is not None and set(kinds) <= set(TARGETS) and not set(kinds) & set(owners):
            told = f"--{option.replace('_', '-')} means nothing to {', '.join(dict.fromkeys(kinds))}"
            raise UsageError(f"{told}; it belongs to {' and '.join(owners)}: name such a target with --on")
    given = {name: options[name] for name in NAMES if name in options}
    return [
        TargetOptions(
            **{name: value for name, value in given.items() if kind in OWNERS.get(name, (kind,))}, measures=measures
        )
        for kind in kinds
    ]


def open_targets(on: Sequence[str], options: dict[str, Any], *, measures: bool = True) -> list[Target]:
    """The targets named, this machine when there is none.

    A usage error (UsageError) is refused before any target is asked; one that cannot be opened fails in its
    turn.
    """
    names = on or ("local",)
    if measures and options["wheels"] is not None:
        raise UsageError("--wheels: they are for --prepare; a measurement needs none")

    def opened(name: str, its: TargetOptions) -> Target:
        try:
            return open_target(name, its)
        except EngineError as error:
            return Unopened(name, error)

    return [opened(name, its) for name, its in zip(names, chosen(names, options, measures=measures), strict=True)]


def prepare_targets(
    on: Sequence[str], options: dict[str, Any], artifacts: Sequence[Path], *, remove: bool = False
) -> int | None:
    """Set the named targets up, or remove what is ours from them, one after the other; print what is there.

    Returns the exit code: one that fails is one line, and the others are done all the same.
    """
    option = "--remove-agent" if remove else "--prepare"
    if artifacts:
        raise UsageError(f"{option} measures nothing: leave the artifacts away, then call edge bench again")
    if not on:
        raise UsageError(f"{option}: say which target with --on")
    failed = False
    for name, its in zip(on, chosen(on, options), strict=True):
        try:
            say(remove_from_target(name, its) if remove else prepare_target(name, its))
        except EngineError as error:
            failed = True
            tell(f"edge bench: {error}")
    return EngineError.exit_code if failed else None
