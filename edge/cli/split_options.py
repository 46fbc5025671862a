"""The options that name a split, the same for every verb that reads one."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

skip_damaged = click.option("--skip-damaged", is_flag=True, help="Omit images that cannot be used, and name them.")
_NAMED = (
    click.option("--split", help="A split: a pinned file, camvid:ROOT:val, generated:classify:val, ..."),
    click.option("--images", help="A folder of images: class folders, or with --labels or --masks."),
    click.option("--labels", help="With --images: the file of their classes."),
    click.option("--masks", help="With --images: the folder of their masks."),
    click.option("--classes", help="With --images: the file of class names."),
    skip_damaged,
)


def split_options(command: Command) -> Command:
    """`--split`, or `--images` with what belongs to it, and `--skip-damaged`."""
    for option in reversed(_NAMED):
        command = option(command)
    return command
