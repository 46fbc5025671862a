"""The rows of a file of classes, in the forms that annotation tools and data sets write.

One class per line, `#` opens a comment line. A line is one of

    name
    index<TAB>name              also index<TAB>synset<TAB>name: the last column is the name
    0,name    0 name    0: name in a file whose numbers begin at 0 and rise
    [index] name r g b          separated by tabs, commas, semicolons or spaces: CamVid's classes.txt, class_dict.csv
    name:r,g,b:parts:actions    CVAT's labelmap.txt
    [index] r g b name          CamVid's label_colors.txt

A colour may also be `#rrggbb`. A first line that names the columns (`name,r,g,b`) is passed over.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import DataError
from edge.files.bounded_file import read_text

Colour = tuple[int, int, int]

MAX_LIST_BYTES = 256 * 1024 * 1024
LONGEST_COLOURED = 1000  # characters of a line in which a colour is looked for
_APART = r"[\s,;:]+"
_COLOUR = r"\(?(?P<red>\d{1,3})[\s,;]+(?P<green>\d{1,3})[\s,;]+(?P<blue>\d{1,3})\)?"
_COLOUR_LAST = re.compile(rf"(?P<rest>.*?\S){_APART}{_COLOUR}(?::[^:]*:[^:]*)?")
_COLOUR_FIRST = re.compile(rf"(?P<rest>(?:\d+{_APART})?){_COLOUR}{_APART}(?P<name>.*[^\W\d].*)")
_HEXADECIMAL = re.compile(r"#([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})\b")
_INDEX_FIRST = re.compile(rf"(\d{{1,9}}){_APART}(\S.*)")
_COLUMNS = frozenset(
    {"class", "class_name", "label", "labels", "name", "names", "index", "id", "value", "color", "colour", "rgb"}
    | {"r", "g", "b", "red", "green", "blue", "color_rgb", "hex", "parts", "actions"}
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One class of a file: its number as written and its colour, where the line has them."""

    line: int
    name: str
    index: int | None = None
    colour: Colour | None = None


def read_rows(path: Path) -> list[Row]:
    """The classes of a file, in its order; refused: a line without a name, a colour value above 255."""
    lines = [
        (number, line.strip())
        for number, line in enumerate(read_lines(path, what="file of class names"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if len(lines) > 1 and set(re.split(_APART, lines[0][1].lower().replace('"', ""))) <= _COLUMNS:
        has_columns = [bool(_INDEX_FIRST.fullmatch(line) or _coloured(line)) for _, line in lines[1:]]
        lines = lines[1:] if all(has_columns) else lines
    if any(_coloured(line) for _, line in lines):
        return [_coloured_row(path, number, line) for number, line in lines]
    if any("\t" in line for _, line in lines):
        return [_tabbed_row(path, number, line) for number, line in lines]
    found = [_INDEX_FIRST.fullmatch(line) for _, line in lines]
    indices = [int(match[1]) for match in found if match]
    if len(indices) == len(lines) > 0 and indices[0] == 0 and indices == sorted(set(indices)):
        return [
            Row(line=number, index=int(match[1]), name=match[2].strip(' "'))
            for (number, _), match in zip(lines, found, strict=True)
            if match
        ]
    return [Row(line=number, name=line) for number, line in lines]


def read_lines(path: Path, *, what: str) -> list[str]:
    """The lines of a UTF-8 file. Refuses (DataError) what `bounded_file.read_text` refuses."""
    text = read_text(path, most_bytes=MAX_LIST_BYTES, what=what, error=DataError)
    return [line.rstrip("\r") for line in text.split("\n")]


def _coloured(line: str) -> re.Match[str] | None:
    if len(line) > LONGEST_COLOURED:
        return None
    plain = _HEXADECIMAL.sub(lambda match: ",".join(str(int(part, 16)) for part in match.groups()), line)
    plain = plain.replace('"', "")
    return _COLOUR_LAST.fullmatch(plain) or _COLOUR_FIRST.fullmatch(plain)


def _coloured_row(path: Path, number: int, line: str) -> Row:
    match = _coloured(line)
    text = line if match is None else match["rest"] + match.groupdict().get("name", "")
    row = _tabbed_row(path, number, text) if "\t" in text else _numbered_row(number, text)
    if match is None:
        return row
    if row.name.isdecimal():
        raise DataError(path, f"line {number}: no class name in '{line[:60]}'; expected such as 'name 128 64 0'")
    red, green, blue = (int(match[channel]) for channel in ("red", "green", "blue"))
    if max(red, green, blue) > 255:
        raise DataError(path, f"line {number}: a colour has values 0 to 255, found {red},{green},{blue}")
    return Row(line=number, name=row.name, index=row.index, colour=(red, green, blue))


def _numbered_row(number: int, text: str) -> Row:
    match = _INDEX_FIRST.fullmatch(text)
    if match is None:
        return Row(line=number, name=text.strip())
    return Row(line=number, name=match[2].strip(), index=int(match[1]))


def _tabbed_row(path: Path, number: int, line: str) -> Row:
    columns = [column.strip(' "') for column in line.split("\t")]
    if len(columns) == 1:
        return Row(line=number, name=columns[0])
    if not columns[0].isdecimal() or len(columns[0]) > 9:
        raise DataError(path, f"line {number}: index '{columns[0]}', expected a number, a tab and a name")
    if not columns[-1]:
        raise DataError(path, f"line {number}: no class name")
    return Row(line=number, name=columns[-1], index=int(columns[0]))
