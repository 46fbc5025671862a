"""The store of a report: records in a DuckDB database in a temporary folder, with bounded memory."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device_bench.records.record_lines import record_lines
from device_bench.records.row import COLUMNS, row
from edge.errors import FileError, UnsupportedError
from edge.files.leftovers import temporary_folder
from edge.installation import needs

MEMORY_LIMIT = "512MB"
MOST_TOLD = 20


@dataclass(kw_only=True)
class Store:
    """Records as rows of the table `records`.

    Attributes:
        damaged: how many lines were no record and were passed over. told: the first of them, each one sentence.
    """

    connection: Any
    records: int = 0
    damaged: int = 0
    told: list[str] = field(default_factory=list)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The answer to a query, each row by its columns' names."""
        result = self.connection.execute(query, list(parameters))
        names = [column[0] for column in result.description]
        return [dict(zip(names, found, strict=True)) for found in result.fetchall()]

    def pass_over(self, error: FileError) -> None:
        """Count a line that is no record."""
        self.damaged += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(str(error))


@contextmanager
def opened_store(paths: Sequence[Path], *, skip_damaged: bool = False) -> Iterator[Store]:
    """A store of all records of some files; it is gone when the block ends.

    The files go through line by line, each line checked as a record; DuckDB then holds at most MEMORY_LIMIT and puts
    the rest on disk.

    Args:
        skip_damaged: count lines that are no record instead of refusing the file.

    Raises:
        FileError: a file cannot be read, a line is no record, or the disk has no room. UnsupportedError: DuckDB is
            missing.
    """
    try:
        import duckdb
    except ImportError as error:
        raise UnsupportedError(f"a report {needs('duckdb')}") from error
    with temporary_folder() as name:
        folder = Path(name)
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "false",
            "threads": "2",
        }
        with duckdb.connect(str(folder / "records.duckdb"), config=settings) as connection:
            store = Store(connection=connection)
            _fill(store, paths, folder / "rows.jsonl", skip_damaged)
            yield store


def _fill(store: Store, paths: Sequence[Path], rows: Path, skip_damaged: bool) -> None:
    damaged = store.pass_over if skip_damaged else None
    try:
        with rows.open("w", encoding="utf-8") as handle:
            for path in paths:
                for _, record in record_lines(path, damaged):
                    handle.write(json.dumps(row(record)) + "\n")
                    store.records += 1
    except OSError as error:
        raise FileError(rows, f"cannot be written: {error.strerror}") from error
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())
    store.connection.execute(
        f"CREATE TABLE records AS SELECT * FROM read_json(?, format='newline_delimited', columns={{{columns}}}, "
        "maximum_object_size=33554432)",
        [str(rows)],
    )
    rows.unlink()
