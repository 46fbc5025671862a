"""Class names, display colours, and what the values and colours of masks mean, from a file of classes.

`edge.data.class_table` says which lines are understood. A class named void, ignore or unlabelled (any case) is no
class: its value is omitted from training and of every metric.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge.data.class_table import Colour, Row, read_rows
from edge.errors import DataError

IGNORED_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled"})
NO_CLASS = 255
REFUSED = -1  # in a mask table


@dataclass(frozen=True, kw_only=True)
class ClassNames:
    """What the classes are.

    Attributes:
        names: by index.
        palette: RGB per class, or empty.
        ignore_index: what void is in a mask, after `mask_table`, if there is void.
        mask_table: class index, void or REFUSED by value in a mask file (256 entries); None: values are class indices.
        mask_colours: (red, green, blue, class index or void) of masks of colours; empty: the palette says it.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...] = ()
    ignore_index: int | None = None
    mask_table: tuple[int, ...] | None = None
    mask_colours: tuple[tuple[int, int, int, int], ...] = ()


def read_class_names(path: Path) -> ClassNames:
    """Read a file of classes.

    Where its numbers are not 0, 1, 2, ... with void at the end, they are the values in mask files, and the classes are
    counted in the file's order. Refused: no classes, a number twice or out of order, numbers or colours on some lines
    only, more void than masks can tell apart.
    """
    rows = read_rows(path)
    classes = [row for row in rows if not _is_void(row, rows)]
    if not classes:
        raise DataError(path, "no class names")
    values = _values(path, rows)
    coloured = [row for row in classes if row.colour is not None]
    if coloured and len(coloured) != len(classes):
        raise DataError(path, f"{len(coloured)} of {len(classes)} classes have a colour; give all or none")
    index_of = {row.line: index for index, row in enumerate(classes)}
    void = [value for row, value in zip(rows, values, strict=True) if row.line not in index_of]
    in_order = [value for row, value in zip(rows, values, strict=True) if row.line in index_of] == list(
        range(len(classes))
    )
    ignore_index: int | None = None
    mask_table = None
    if void or not in_order:
        ignore_index = void[0] if in_order and len(void) == 1 else NO_CLASS
    if not in_order or len(void) > 1:
        table = [REFUSED] * 256
        table[NO_CLASS] = NO_CLASS
        for row, value in zip(rows, values, strict=True):
            table[value] = index_of.get(row.line, NO_CLASS)
        mask_table = tuple(table)
    none = NO_CLASS if ignore_index is None else ignore_index
    palette = tuple(row.colour for row in classes if row.colour is not None)
    colours = tuple((*row.colour, index_of.get(row.line, none)) for row in rows if row.colour is not None)
    return ClassNames(
        names=_distinct([row.name for row in classes]),
        palette=palette,
        ignore_index=ignore_index,
        mask_table=mask_table,
        mask_colours=colours if len(colours) > len(palette) else (),
    )


def _is_void(row: Row, rows: list[Row]) -> bool:
    return row.name.lower() in IGNORED_NAMES and len(rows) > 1


def _values(path: Path, rows: list[Row]) -> list[int]:
    """The value in mask files of every row: its number, or its place where there are none."""
    given = [row.index for row in rows if row.index is not None]
    if not given:
        return list(range(len(rows)))
    if len(given) != len(rows):
        raise DataError(path, f"{len(given)} of {len(rows)} lines begin with a number; give all or none")
    for row, (before, value) in zip(rows[1:], pairwise(given), strict=True):
        if value <= before:
            raise DataError(
                path, f"line {row.line}: index {value} after {before}; give them in rising order, each once"
            )
    if given != list(range(len(rows))) and given[-1] > NO_CLASS:
        raise DataError(path, f"line {rows[-1].line}: value {given[-1]}; a mask has values 0 to {NO_CLASS}")
    return given


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Names that differ: ImageNet has `crane` and `maillot` twice, so a repeated name gets its index."""
    times = Counter(names)
    return tuple(name if times[name] == 1 else f"{name} ({index})" for index, name in enumerate(names))
