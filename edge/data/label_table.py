"""Independent labels of images, several of which may hold: a table of 0 and 1, or several names in one column.

    filename,animal,bird,furry       2                      filename,labels
    dog.jpg,1,0,1                    Smiling Young          pet.jpg,cat|dog
    crane.jpg,1,1,                   a.jpg  1 -1            street.jpg,

On the left: comma, semicolon or tab between the columns, a first line that names them, the file name first; 1 or true,
0 or false, and nothing, `?` or `nan` where it is not known. In the middle celebA's list_attr: the number of images,
the names, then lines apart by white space. Where a file has no 0, -1 stands for it; with both it is refused. On the
right `|` or `;` between names: what is not named does not hold.
"""

from dataclasses import dataclass
from pathlib import Path

from edge.data.class_names import ClassNames
from edge.data.class_table import read_lines
from edge.data.label_file import cells, is_image_name, separator_of
from edge.data.splits import UNKNOWN, Truth
from edge.errors import DataError, unknown_name

MARKS = ("|", ";")  # between several names in one column
ONE_LABEL = "one label alone is two classes: give a file of 'file<TAB>class' lines"
_VALUES = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0, "": UNKNOWN, "?": UNKNOWN, "nan": UNKNOWN}
_MINUS = frozenset({"-1", "-1.0"})

Numbered = list[tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Names of the labels, and (line number, file name, truth) of every image."""

    names: tuple[str, ...]
    rows: tuple[tuple[int, str, Truth], ...]


@dataclass(frozen=True, kw_only=True)
class _Columns:
    names: list[str]  # of the labels, without the file's
    separator: str | None  # None: white space
    lines: Numbered


def read_label_table(path: Path, classes: ClassNames | None = None) -> LabelTable | None:
    """Read a file of independent labels; None where it is a file of one class per image.

    Args:
        classes: the labels, in this order: of a table their columns are taken and all others omitted, of a column of
            names no other is allowed. None: all columns in their order, or all names sorted.

    Refused (DataError): a table without a line of column names, a value that is no 0, 1 or unknown, a line of another
    number of columns, a column named twice or missing, a single label.
    """
    lines = [
        (number, line)
        for number, line in enumerate(read_lines(path, what="label file"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if (columns := _columns(path, lines)) and (classes is not None or _has_values(path, columns)):
        table = _table(path, columns, classes)
    elif (found := _several_names(path, lines, classes)) is not None:
        table = found
    else:
        return None
    if len(table.names) < 2:
        raise DataError(path, f"has the label '{table.names[0]}' only; {ONE_LABEL}" if table.names else ONE_LABEL)
    return table


def _columns(path: Path, lines: Numbered) -> _Columns | None:
    """The columns of a table of labels; None for any other file."""
    if not lines:
        return None
    if len(lines) > 2 and lines[0][1].strip().isdecimal():
        names = lines[1][1].split()
        if len(lines[2][1].split()) == len(names) + 1:
            if int(lines[0][1][:18]) != len(lines) - 2:
                raise DataError(
                    path, f"says {lines[0][1].strip()[:18]} images in its first line and has {len(lines) - 2}"
                )
            return _Columns(names=names, separator=None, lines=lines[2:])
    separator = separator_of([line for _, line in lines])
    first = [] if separator is None else cells(path, *lines[0], separator)
    if len(first) > 2 and not any(is_image_name(cell) for cell in first):
        return _Columns(names=first[1:], separator=separator, lines=lines[1:])
    if len(first) > 2 and is_image_name(first[0]) and all(cell.lower() in {*_VALUES, *_MINUS} for cell in first[1:]):
        raise DataError(path, f"line {lines[0][0]}: has {len(first) - 1} labels; name them in a line before it")
    return None


def _has_values(path: Path, columns: _Columns) -> bool:
    """Whether any column but the first is of labels: of 0 and 1 alone, where it holds anything."""
    rows = [[value.lower() for value in _cells(path, line, columns.separator)[1:]] for line in columns.lines]
    known = [
        {*_MINUS, *_VALUES} >= set(values) and any(_VALUES.get(value, 0) >= 0 for value in values)
        for values in zip(*rows, strict=False)
    ]
    return any(known) or not rows


def _cells(path: Path, line: tuple[int, str], separator: str | None) -> list[str]:
    return line[1].split() if separator is None else cells(path, *line, separator)


def _table(path: Path, columns: _Columns, classes: ClassNames | None) -> LabelTable:
    if twice := next((name for name in columns.names if columns.names.count(name) > 1), None):
        raise DataError(path, f"two columns are named '{twice}'")
    names = tuple(columns.names) if classes is None else classes.names
    for name in names:
        if name not in columns.names:
            raise DataError(path, unknown_name("column", name, columns.names))
    places = [columns.names.index(name) + 1 for name in names]
    rows, found = [], set[str]()
    for line in columns.lines:
        row = _cells(path, line, columns.separator)
        if len(row) != len(columns.names) + 1:
            raise DataError(path, f"line {line[0]}: {len(row)} columns, the first line has {len(columns.names) + 1}")
        values = [row[place].lower() for place in places]
        for name, value in zip(names, values, strict=True):
            if value not in _VALUES and value not in _MINUS:
                raise DataError(
                    path,
                    f"line {line[0]}: column '{name}' holds '{value[:40]}'; a label is 1, 0, or nothing where it is "
                    "not known. Choose columns with a file of class names (--classes), or give lines of file and class",
                )
        found.update(values)
        rows.append((line[0], row[0], values))
    if not rows:
        raise DataError(path, "no labels")
    if found & _MINUS and any(_VALUES.get(value) == 0 for value in found):
        raise DataError(path, "holds 0 and -1, and may mean 'no' or 'unknown' by it; leave what is not known empty")
    return LabelTable(
        names=names,
        rows=tuple(
            (number, name, tuple(0 if value in _MINUS else _VALUES[value] for value in values))
            for number, name, values in rows
        ),
    )


def _several_names(path: Path, lines: Numbered, classes: ClassNames | None) -> LabelTable | None:
    """A file and its names on every line; None where no line has several."""
    separator = separator_of([line for _, line in lines]) or " "
    split = []
    for number, line in lines:
        name, _, label = line.rpartition(separator)
        split.append((number, name.strip(), label.strip()))
    known = () if classes is None else classes.names
    marks = {mark for _, name, label in split for mark in MARKS if name and mark in label and label not in known}
    if not marks:
        return None
    if len(marks) > 1:
        raise DataError(path, f"has both {' and '.join(MARKS)} between names; use one of them")
    mark = marks.pop()
    if not is_image_name(split[0][1]):
        split = split[1:]
    rows = [(number, name, {part.strip() for part in label.split(mark)} - {""}) for number, name, label in split]
    names = known or tuple(sorted(set().union(*(given for _, _, given in rows))))
    for number, name, given in rows:
        if not name:
            raise DataError(path, f"line {number}: expected 'file<TAB>name{mark}name'")
        if unknown := sorted(given.difference(names)):
            raise DataError(path, f"line {number}: {unknown_name('class', unknown[0], names)}")
    return LabelTable(
        names=names,
        rows=tuple((number, name, tuple(int(label in given) for label in names)) for number, name, given in rows),
    )
