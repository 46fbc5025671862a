"""Options that take a number: whole ones of a size that machines hold, others that are finite."""

import math
from typing import Any

import click

MOST = 2**31 - 1


def whole(least: int, most: int = MOST) -> click.IntRange:
    """A whole number from `least` to `most`."""
    return click.IntRange(least, most)


class Number(click.FloatRange):
    """A number in a range; infinity and NaN, which compares with nothing, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number as it was given."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


THREADS = whole(1, 256)
