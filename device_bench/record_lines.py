"""Reading files of records line by line, for files that no memory holds at once."""

from collections.abc import Callable, Iterator
from pathlib import Path

from device_bench.record import Record, parse_line
from edge.errors import FileError

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""A million samples; what is longer is refused before it is read."""


def record_lines(path: str | Path, damaged: Callable[[FileError], None] | None = None) -> Iterator[tuple[int, Record]]:
    """Every record of a file with its line number; empty lines are passed over.

    Args:
        damaged: is told of every line that is no record, and the reading goes on; None raises.

    Raises:
        FileError: the file cannot be read; a line is no record, named with its number and first wrong key.
    """
    try:
        with Path(path).open("rb") as handle:
            number = 0
            while line := handle.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if not line.strip():
                    continue
                try:
                    yield number, _parsed(line, number, path)
                except FileError as error:
                    if damaged is None:
                        raise
                    damaged(error)
                while len(line) > LONGEST_LINE_BYTES and not line.endswith(b"\n"):
                    line = handle.readline(LONGEST_LINE_BYTES + 1)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}") from error


def _parsed(line: bytes, number: int, path: str | Path) -> Record:
    if len(line) > LONGEST_LINE_BYTES:
        raise FileError(path, f"line {number} is longer than {LONGEST_LINE_BYTES} bytes: no record is")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(path, f"line {number} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_line(text, number, path)
