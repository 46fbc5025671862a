"""The option --region: a part of every frame."""

import re
from typing import Any

import click

_FORM = re.compile(r"([0-9]{1,5}),([0-9]{1,5}):([0-9]{1,5})x([0-9]{1,5})")


class FrameRegion(click.ParamType[Any]):
    """`120,40:240x320` as (y, x, height, width) in pixels."""

    name = "Y,X:HEIGHTxWIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The numbers; another form, and a region without a pixel, are refused."""
        if isinstance(value, tuple):
            return value
        match = _FORM.fullmatch(value)
        numbers = tuple(int(number) for number in match.groups()) if match else ()
        if not numbers or not all(numbers[2:]):
            self.fail(f"'{value}' is no region: give Y,X:HEIGHTxWIDTH in pixels as 120,40:240x320.", param, ctx)
        return numbers
