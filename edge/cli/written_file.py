"""Options that name a file to be written: its suffix tells what it becomes, so no other kind is replaced."""

import os
from pathlib import Path
from typing import Any

import click


class WrittenFile(click.Path):
    """A path whose suffix is one of a few; another is refused, and with it the loss of what stands there."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self._suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path as it was given."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() not in self._suffixes:
            self.fail(f"{path}: the name must end in {' or '.join(self._suffixes)}", param, ctx)
        return path


HTML_FILE = WrittenFile(".html", ".htm")
MARKDOWN_FILE = WrittenFile(".md", ".markdown")
CSV_FILE = WrittenFile(".csv")
