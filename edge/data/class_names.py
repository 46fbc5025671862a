"""Class names and display colours from a text file.

One class per line, `#` opens a comment line. A line is a name, or tab-separated columns: index, name, and optionally
a colour `R,G,B` (CamVid's classes.txt); or index, synset, names (ImageNet's labels.txt: the last column is the name).
Indices must be 0, 1, 2, ... in order. A last class named void, ignore or unlabelled (any case) is no class: its index
is left out of training and of every metric.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edge.bounded_file import read_text
from edge.errors import DataError

MAX_LIST_BYTES = 256 * 1024 * 1024
IGNORED_NAMES = frozenset({"void", "ignore", "unlabelled", "unlabeled"})

_COLOUR = re.compile(r"(\d{1,3}),\s*(\d{1,3}),\s*(\d{1,3})")


@dataclass(frozen=True, kw_only=True)
class ClassNames:
    """Names by index; `palette` is RGB per class or empty; `ignore_index` is the index of void, if there is one."""

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    ignore_index: int | None = None


def read_class_names(path: Path) -> ClassNames:
    """Read a class file; refused: no classes, a gap in the indices, a name twice, a colour on some lines only."""
    names: list[str] = []
    colours: list[tuple[int, int, int]] = []
    for number, line in enumerate(read_lines(path, what="file of class names"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) > 1:
            if columns[0] != str(len(names)):
                raise DataError(path, f"line {number}: index '{columns[0]}', expected {len(names)}")
            columns = columns[1:]
            if found := _COLOUR.fullmatch(columns[-1]):
                red, green, blue = (int(value) for value in found.groups())
                if max(red, green, blue) > 255:
                    raise DataError(path, f"line {number}: a colour has values 0 to 255, found {columns[-1]}")
                colours.append((red, green, blue))
                columns = columns[:-1]
        if not columns or not columns[-1]:
            raise DataError(path, f"line {number}: no class name")
        names.append(columns[-1])
    if colours and len(colours) != len(names):
        raise DataError(path, f"{len(colours)} of {len(names)} classes have a colour; give all or none")
    ignore_index = None
    if len(names) > 1 and names[-1].lower() in IGNORED_NAMES:
        ignore_index = len(names) - 1
        names, colours = names[:-1], colours[:-1]
    if not names:
        raise DataError(path, "no class names")
    return ClassNames(names=_distinct(names), palette=tuple(colours), ignore_index=ignore_index)


def read_lines(path: Path, *, what: str) -> list[str]:
    """The lines of a UTF-8 file. Refuses (DataError) what `bounded_file.read_text` refuses."""
    text = read_text(path, most_bytes=MAX_LIST_BYTES, what=what, error=DataError)
    return [line.rstrip("\r") for line in text.split("\n")]


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Names that differ: ImageNet has `crane` and `maillot` twice, so a repeated name gets its index."""
    times = Counter(names)
    return tuple(name if times[name] == 1 else f"{name} ({index})" for index, name in enumerate(names))
