"""Columns of tables: a heading, with its unit, and the cell that stands under it, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.table import Table

from edge.errors import one_line

Row = TypeVar("Row")
MARKDOWN_SIGNS = "\\|`*_[]<>&#~"


@dataclass(frozen=True, kw_only=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        heading: with the unit, where the figures have one that the column before does not state.
        cell: what a row shows. words: to the left; figures stand to the right.
        shown: a column that no row would fill is left away.
    """

    heading: str
    cell: Callable[[Row], str]
    words: bool = False
    shown: bool = True


def terminal_table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """A table for a terminal; no cell is wrapped."""
    shown = [column for column in columns if column.shown]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column.heading, justify="left" if column.words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(column.cell(row) for column in shown))
    return table


def markdown_table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> str:
    """A table in Markdown, every cell in one line and without a sign that would be read as its own."""
    lines = [[column.heading for column in columns], ["---" if column.words else "---:" for column in columns]]
    lines += [[_escaped(column.cell(row)) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in MARKDOWN_SIGNS else sign for sign in one_line(text))
