"""The errors that a user can meet, each one line: what is wrong, where, the value found, what to do.

    EdgeError                 could not do it                                 exit code 1
    ├── FileError             a file is missing, damaged, foreign or refused  exit code 1
    │   ├── CheckpointError   a checkpoint
    │   ├── ModelFileError    an ONNX or TFLite file
    │   ├── ArtifactError     an artifact folder or its manifest
    │   └── DataError         an image, mask, label or split file
    ├── UnsupportedError      an operator or option this part does not know
    ├── EngineError           a runtime is missing or refused the model
    ├── Interrupted           the user ended it                               exit code 130
    └── UsageError            usage error                                     exit code 2
        └── RecipeError       a recipe or card that does not hold

The exit code says whose turn it is, in every verb:

    0    done (`verify`: ship; `compare`: nothing slower)
    1    could not: what is there cannot be read, used or written; or do not ship, slower
    2    usage error: an option, a name or a recipe or card that does not hold, a path of the command line where
         nothing is
    70   nobody foresaw it: a defect of ours, whose traceback stands in a file that the line names
         (edge/cli/unforeseen.py)
    130  interrupted

The command line prints `edge VERB: MESSAGE`, one line, and leaves with the exit code (edge/cli/main.py).
"""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

LONGEST_LINE = 2000


class EdgeError(Exception):
    """Something asked for could not be done; the message is one line for a person."""

    exit_code = 1


class FileError(EdgeError):
    """A file is missing, damaged, foreign or refused; the message opens with its path."""

    def __init__(self, path: str | Path, problem: str) -> None:
        self.path = str(path)
        self.problem = " ".join(problem.split())
        super().__init__(f"{self.path}: {self.problem}")


class CheckpointError(FileError):
    """A checkpoint cannot be used."""


class ModelFileError(FileError):
    """An ONNX or TFLite file cannot be used."""


class ArtifactError(FileError):
    """An artifact folder cannot be used."""


class DataError(FileError):
    """An image, mask, label or split file cannot be used."""


class UnsupportedError(EdgeError):
    """An operator or option is outside what this part knows; the message names it."""


class EngineError(EdgeError):
    """A runtime is missing or refused the model."""


class Interrupted(EdgeError):
    """The user ended it; the message says what had been finished."""

    exit_code = 130


class UsageError(EdgeError):
    """The request itself does not hold."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe or card does not hold; the message opens with its path and section."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with the nearest known one: `unknown model 'fast_scn'; did you mean 'fast_scnn'?`."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
    return f"unknown {kind} '{name}'; {hint}"


def first_of(items: Sequence[object], separator: str = ", ", most: int = 10) -> str:
    """The first of many for a message, and how many more there are: `a, b, and 5 more`."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*(str(item) for item in items[:most]), *more])


def printable(text: str) -> str:
    """A text on one line, in which every character that cannot be printed stands as its escape (`\\x1b`, `\\n`)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(message: str) -> str:
    """A message as one printable line: names in it come from files, and may hold anything.

    White space becomes single spaces, other characters that cannot be printed their escapes (`\\x1b`). Of a line of
    over LONGEST_LINE characters the middle is omitted.
    """
    line = printable(" ".join(message.split()))
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return f"{line[:half]} [{len(line) - 2 * half} characters] {line[-half:]}"
