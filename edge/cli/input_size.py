"""The option --input-size, which the verbs that open a checkpoint have: height x width, as recipes write it."""

import re
from typing import Any

import click

MOST = 16384


class InputSize(click.ParamType[Any]):
    """`256x512` as (height, width) in pixels; one number is a square."""

    name = "HEIGHTxWIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The size as (height, width); another form is refused."""
        if isinstance(value, tuple):
            return value
        sides = [int(side) for side in value.split("x")] if re.fullmatch(r"[0-9]{1,5}(x[0-9]{1,5})?", value) else []
        if not sides or not all(1 <= side <= MOST for side in sides):
            self.fail(f"'{value}' is no size: give HEIGHTxWIDTH as 256x512, or one number for a square.", param, ctx)
        return sides[0], sides[-1]


class InputSizes(InputSize):
    """Several sizes, separated by commas: `360x480,270x360`."""

    name = "HEIGHTxWIDTH,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The sizes in their order; one that stands twice is refused."""
        if isinstance(value, tuple):
            return value
        sizes = tuple(super(InputSizes, self).convert(part.strip(), param, ctx) for part in value.split(","))
        if len(set(sizes)) != len(sizes):
            self.fail(f"'{value}' names a size twice.", param, ctx)
        return sizes


input_size = click.option(
    "--input-size",
    "input_size_hw",
    type=InputSize(),
    help="Another input size of a checkpoint, height x width: 256x512; one number is a square. The weights stay.",
)
