"""The lines of a label file: an image and its class.

Columns are apart by a tab, else a comma, else a semicolon, else white space (the last one on the line). A value that
holds the separator stands in double quotes, as spreadsheets write it; in a name of an image it may stand as it is. A
byte order mark, either kind of line end, empty lines and lines that begin with `#` make no difference.
"""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge.data.class_table import read_lines
from edge.data.decode import IMAGE_SUFFIXES
from edge.errors import DataError, first_of


@dataclass(frozen=True, kw_only=True)
class Line:
    """Two values of a line: an image and its class, or what the first line names them."""

    number: int
    image: str
    label: str


def read_label_file(path: Path) -> list[Line]:
    """The lines of a label file, that of column names among them.

    Refused (DataError): no lines, a line of one value, more than two columns, a line without a class.
    """
    numbered = [
        (number, line)
        for number, line in enumerate(read_lines(path, what="label file"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not numbered:
        raise DataError(path, "no labels")
    separator = separator_of([line for _, line in numbered])
    rows = [(number, line, cells(path, number, line, separator)) for number, line in numbered]
    while all(len(row) > 2 and not row[-1] for _, _, row in rows):  # a spreadsheet's empty columns
        rows = [(number, line, row[:-1]) for number, line, row in rows]
    widths = {len(row) for _, _, row in rows}
    if len(widths) == 1 and min(widths) > 2 and not all(is_image_name(row[-2]) for _, _, row in rows):
        raise DataError(
            path,
            f"has {len(rows[0][2])} columns ({', '.join(rows[0][2])}); keep two of them, the image and its class, or "
            "for several labels per image columns of 0 and 1",
        )
    lines = []
    for number, line, row in rows:
        name = (separator or " ").join(row[:-1])
        if len(row) < 2 or not name:
            raise DataError(path, f"line {number}: expected 'file<TAB>class', found '{line[:60]}'")
        lines.append(Line(number=number, image=name, label=row[-1]))
    if empty := [line for line in lines if not line.label]:
        named = first_of([f"line {line.number} ({line.image})" for line in empty])
        raise DataError(
            path, f"{len(empty)} of {len(lines)} lines give no class: {named}; fill it in, or take the lines out"
        )
    return lines


def separator_of(lines: list[str]) -> str | None:
    """What stands between the columns; None: white space."""
    if any("\t" in line for line in lines):
        return "\t"
    if all("," in line for line in lines):
        return ","
    by_space = all(is_image_name(line.rpartition(" ")[0].strip()) for line in lines)
    return ";" if all(";" in line for line in lines) and not by_space else None


def cells(path: Path, number: int, line: str, separator: str | None) -> list[str]:
    """The values of a line, without the white space around them."""
    if separator is None:
        return [value.strip() for value in line.strip().rsplit(None, 1)]
    try:
        (row,) = csv.reader([line], delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    except csv.Error as error:
        raise DataError(
            path, f"line {number}: {error}; a value with quotes in it is quoted, its quotes doubled"
        ) from None
    return [value.strip() for value in row]


def is_image_name(name: str) -> bool:
    """Whether a name ends as those of images do."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
