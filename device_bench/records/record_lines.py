"""Files of records: one JSON object per line, read line by line and added to without losing what stands there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from device_bench.records.record import Record, parse_line, record_line
from edge.errors import FileError
from edge.files import atomic
from edge.files.bounded_file import check_file, exists
from edge.files.folder_lock import held_folder

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""A million samples; what is longer is refused before it is read."""


def record_lines(path: str | Path, damaged: Callable[[FileError], None] | None = None) -> Iterator[tuple[int, Record]]:
    """Every record of a file with its line number; empty lines are passed over.

    Args:
        damaged: is told of every line that is no record, and the reading goes on; None raises.

    Raises:
        FileError: the file cannot be read; a line is no record, named with its number and first wrong key.
    """
    check_file(path)
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


def read_records(path: str | Path) -> list[Record]:
    """All records of a file; refuses (FileError) what `record_lines` refuses."""
    return [record for _, record in record_lines(path)]


def append_records(path: str | Path, records: Sequence[Record]) -> None:
    """Add records to a file, which is made if absent and is written whole. Processes that do so at once take turns.

    Raises:
        FileError: the file holds something else than records, or cannot be written.
    """
    with held_folder(path):
        earlier = read_records(path) if exists(path) else []
        atomic.write_text(path, "".join(record_line(record) + "\n" for record in [*earlier, *records]))
