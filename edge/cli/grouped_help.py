"""A command whose help lists its options under headings."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class GroupedCommand(click.Command):
    """Takes `headings`: heading -> names of its options, in the order of the help; what is in none comes last."""

    def __init__(self, *arguments: Any, headings: Mapping[str, Sequence[str]], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.headings = headings

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every option once, under its heading."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        known = {option.name: record for option in options if (record := option.get_help_record(ctx))}
        for heading, names in self.headings.items():
            with formatter.section(heading):
                formatter.write_dl([known.pop(name) for name in names])
        with formatter.section("Other options"):
            formatter.write_dl(list(known.values()))


def examples(*lines: str) -> str:
    """An epilog of commands that can be typed, each on a line of its own."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
