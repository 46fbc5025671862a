"""The names that a list of Pascal VOC's `ImageSets` gives, one a line."""

from pathlib import Path

from edge.errors import DataError
from edge.files.bounded_file import read_text

MAX_LIST_BYTES = 1 << 24


def listed_names(listed: Path) -> list[str]:
    """Names of images without their ending. Refuses (DataError) a list of none, and a line of anything more."""
    lines = read_text(listed, most_bytes=MAX_LIST_BYTES, what="list of images", error=DataError).splitlines()
    names = []
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name:
            continue
        if any(letter in name for letter in "/\\ \t") or name.startswith("."):
            raise DataError(listed, f"line {number}: '{name[:60]}' is no name of an image; a list has one on each line")
        names.append(name)
    if not names:
        raise DataError(listed, "lists no images")
    return names
