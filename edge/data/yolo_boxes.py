"""Boxes of YOLO text files, one per image: a line `class x y width height` per box, shares of the image (Ultralytics).

x and y are the middle of the box. A line of a class and three points or more (`class x y x y x y`) is an outline, whose
box is taken. An image without a file has no boxes, as one with an empty file.
"""

import math
from dataclasses import replace
from pathlib import Path

from edge.data.box_paths import BoxPaths
from edge.data.given_boxes import GivenBox, GivenImage
from edge.data.image_size import Edges
from edge.errors import DataError, first_of, unknown_name
from edge.files.bounded_file import read_text

SUFFIX = ".txt"
MOST_BYTES = 1 << 24
MOST_CLASSES = 100_000
_BOX, _LEAST_OUTLINE = 5, 7


def read_yolo(
    files: list[tuple[str, Path]], images: BoxPaths, names: tuple[str, ...] | None
) -> tuple[list[GivenImage], list[str], list[str]]:
    """The images of text files, in their order, the class names and notes.

    Args:
        files: (path without its ending, by which the image is found) and file.
        names: by index; None: `class_0` and so on, up to the highest number found.

    Refused (DataError): a line that is neither a box nor an outline, text or NaN where a number belongs, a number of no
    class, a score behind the box (what a detector found).
    """
    given, outlines, highest = [], [], -1
    for stem, file in files:
        boxes = []
        text = read_text(file, most_bytes=MOST_BYTES, what="file of boxes", error=DataError)
        for number, line in enumerate(text.splitlines(), start=1):
            if not (columns := line.split()):
                continue
            where = f"line {number}"
            label = _label(file, where, columns[0], names)
            edges = _edges(file, where, columns)
            if len(columns) > _BOX:
                outlines.append(f"{file.name} {where}")
            highest = max(highest, label)
            boxes.append(GivenBox(where=where, edges=edges, label=label))
        if (path := images.find(file, "", stem)) is not None:
            given.append(GivenImage(file=file, path=path, size_wh=None, boxes=tuple(boxes), shares=True))
    notes = []
    if outlines:
        notes.append(f"{len(outlines)} lines are outlines, whose boxes are taken: {first_of(outlines)}")
    if names is None:
        names = tuple(f"class_{index}" for index in range(highest + 1))
        if names:
            found = f"{len(names)} classes from the numbers found, {names[0]} to {names[-1]}"
            notes.append(f"no file of class names (--classes FILE, or a classes.txt or data.yaml there): {found}")
    return sorted(given, key=lambda image: image.path), list(names), notes


def renumbered(given: list[GivenImage], names: list[str], classes: tuple[str, ...]) -> list[GivenImage]:
    """The same boxes, numbered by `classes` instead of by `names`. Refuses (DataError) a box of a class not in it."""
    if names == list(classes):
        return given
    places = {name: classes.index(name) for name in names if name in classes}
    for image in given:
        for box in image.boxes:
            if names[box.label] not in places:
                raise DataError(image.file, f"{box.where}: {unknown_name('class', names[box.label], classes)}")
    return [
        replace(image, boxes=tuple(replace(box, label=places[names[box.label]]) for box in image.boxes))
        for image in given
    ]


def _label(file: Path, where: str, text: str, names: tuple[str, ...] | None) -> int:
    label = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if label < 0:
        raise DataError(file, f"{where}: class '{text[:40]}'; expected a whole number, then x y width height")
    if names is not None and label >= len(names):
        raise DataError(file, f"{where}: class {label} is out of range; there are {len(names)} classes (0 first)")
    if label >= MOST_CLASSES:
        raise DataError(file, f"{where}: class {label}; there are at most {MOST_CLASSES} classes")
    return label


def _edges(file: Path, where: str, columns: list[str]) -> Edges:
    values = []
    for text in columns[1:]:
        try:
            values.append(float(text))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise DataError(file, f"{where}: '{text[:40]}' is no number; expected class x y width height")
    if len(columns) == _BOX:
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(columns) == _BOX + 1:
        raise DataError(file, f"{where}: 6 columns: a box with its score is what a detector found, not what is there")
    if len(columns) < _LEAST_OUTLINE or len(columns) % 2 == 0:
        raise DataError(
            file,
            f"{where}: {len(columns)} columns; a box has 5 (class x y width height), an outline a class and points",
        )
    across, down = values[::2], values[1::2]
    return min(across), min(down), max(across), max(down)
