"""What nobody foresaw, as one line: the traceback goes into a file that a person can send."""

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata

from edge.camera.sources.address import without_secrets
from edge.errors import one_line
from edge.installation import DISTRIBUTION

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
MOST_CHARACTERS = 200_000


def unforeseen_line(error: BaseException, arguments: Sequence[str]) -> str:
    """One line for an error that is a defect of ours. Writes its traceback into a file that only the user can read."""
    told = without_secrets(one_line(f"{type(error).__name__}: {_text(error) or 'without a word'}"))
    return f"unforeseen: {told[:500]}; {_written(error, arguments)}; please report it"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as worse:  # an exception of somebody else's whose text fails too
        return f"({type(worse).__name__} in its text)"


def _written(error: BaseException, arguments: Sequence[str]) -> str:
    try:
        report = "\n".join(
            (
                f"edge {_version()}, Python {sys.version.split()[0]}, {platform.platform()}",
                f"arguments: {without_secrets(repr(list(arguments)))}",
                without_secrets("".join(traceback.format_exception(error))),
            )
        )
        if len(report) > MOST_CHARACTERS:
            half = MOST_CHARACTERS // 2
            report = f"{report[:half]}\n[...]\n{report[-half:]}"
        descriptor, name = tempfile.mkstemp(prefix="edge-error-", suffix=".txt")  # mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as handle:
            handle.write(report)
    except (OSError, MemoryError, RecursionError) as problem:
        return f"its traceback could not be written: {_text(problem)}"
    return f"traceback in {name}"


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "(not installed)"
