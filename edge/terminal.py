"""The one way to standard output, and to standard error beside it.

Text comes from files, devices and names: characters that a terminal would obey (control characters, changes of the
direction of writing, line separators) are printed as their escapes, and nothing in it is markup. What the output's
encoding lacks is escaped too. An output that cannot be written (a full disk, a closed pipe) is a FileError of its own.
"""

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console, JustifyMethod, OverflowMethod, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from edge.errors import FileError, one_line, printable

STANDARD_OUTPUT = "standard output"
MOST_COLUMNS = 400


class Screen(Console):
    """A console that takes every string as plain text: no markup, no emoji codes, no control characters."""

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: Callable[[str | Text], Text] | None = None,
    ) -> Text:
        """A string as rich's text: cells, titles and lines all come by here."""
        plain = printable(text)
        return super().render_str(
            plain, style=style, justify=justify, overflow=overflow, emoji=False, markup=False, highlight=False
        )


class Bars(Progress):
    """Progress on standard error, where somebody looks; descriptions are plain text."""

    def __init__(self, *columns: ProgressColumn, console: Console | None = None, **options: Any) -> None:
        screen = console or Screen(stderr=True, soft_wrap=True)
        given = columns or (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        super().__init__(*given, console=screen, transient=True, disable=not screen.is_terminal, **options)

    def add_task(self, description: str, *arguments: Any, **options: Any) -> Any:
        """A bar; see rich."""
        return super().add_task(printable(description), *arguments, **options)


def say(*lines: str, style: str | None = None) -> None:
    """Print lines of plain text, each on a line of its own; `style` colours them on a terminal."""
    if style is None:
        _write("".join(f"{printable(line)}\n" for line in lines))
    else:
        show(*lines, style=style)


def say_json(value: Any) -> None:
    """Print a value as one line of JSON. NaN and infinite numbers, which JSON does not have, are null."""
    _write(json_line(value))


def json_line(value: Any) -> str:
    """A value as `say_json` prints it, with the line's end."""
    return json.dumps(_finite(value), allow_nan=False).replace("\x7f", "\\u007f") + "\n"


def show(*renderables: RenderableType, style: str | None = None, least_width: int = 0) -> None:
    """Print tables of rich, or lines, whose strings are plain text. `least_width`: columns, however few there are."""
    screen = Screen()
    screen.width = max(screen.width, least_width)
    try:
        with screen.capture() as capture:
            for renderable in renderables:
                screen.print(renderable, style=style, soft_wrap=isinstance(renderable, str))
    except OSError as error:  # a capture of rich flushes the output too
        raise _not_written(error) from None
    _write(capture.get())


def show_wide(table: Table) -> None:
    """Print a table at its full width: a figure cut short by a narrow terminal or a pipe would be a wrong figure."""
    screen = Screen()
    show(table, least_width=Measurement.get(screen, screen.options.update(width=MOST_COLUMNS), table).maximum)


def tell(*lines: str) -> None:
    """Print lines on standard error, each one printable line; where there is none, or it is full, they are lost."""
    _tell("".join(f"{one_line(line)}\n" for line in lines))


def tell_json(value: Any) -> None:
    """The same for a value as one line of JSON."""
    _tell(json_line(value))


def _tell(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def flush_output() -> None:
    """Hand over what standard output still holds. Refuses (FileError) as printing does."""
    if sys.stdout is not None:
        _write("")


def _write(text: str) -> None:
    stream = sys.stdout
    if stream is None:
        raise FileError(STANDARD_OUTPUT, "is closed")
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: closed by this process
        raise _not_written(error) from None


def _not_written(error: OSError | ValueError) -> FileError:
    _drop_output()
    return FileError(STANDARD_OUTPUT, f"cannot be written: {getattr(error, 'strerror', None) or error}")


def _drop_output() -> None:
    """Lead standard output nowhere, so that what it still holds does not fail once more when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
