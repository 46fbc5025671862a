"""The exit code of an error: a path of the command line that is not there is a usage error, whichever verb finds it."""

from collections.abc import Sequence
from pathlib import Path

import click

from edge.errors import EdgeError, FileError, UsageError
from edge.files.bounded_file import exists


def error_code(error: EdgeError, given: Sequence[str]) -> int:
    """The exit code of an error, of a command line of these words."""
    return UsageError.exit_code if _names_what_is_not_there(error, given) else error.exit_code


def error_code_said(error: EdgeError) -> int:
    """The same within a verb, for its own row of JSON."""
    return error_code(error, click.get_current_context().obj or ())


def _names_what_is_not_there(error: EdgeError, given: Sequence[str]) -> bool:
    words = {str(Path(part)) for word in given for part in (word, word.partition("=")[2]) if part}
    if not isinstance(error, FileError) or str(Path(error.path)) not in words:
        return False
    return "no such" in error.problem.lower() and not exists(error.path)
