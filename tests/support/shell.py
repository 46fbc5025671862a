"""The commands of a shell block, as lists of words: enough of a shell's syntax for what the pages hold."""

import re
import shlex
from collections.abc import Iterator

_APART = set("();<>|&")
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
# Words that only lead to the command behind them.
_LEADING = {"do", "then", "sudo", "/usr/bin/time", "-v", "{"}


def logical_lines(text: str) -> Iterator[str]:
    """Lines joined where one ends with a backslash or within quotes."""
    held = ""
    for line in text.replace("\\\n", " ").splitlines():
        held = f"{held}\n{line}" if held else line
        try:
            shlex.split(held, comments=True)
        except ValueError:
            continue
        yield held
        held = ""
    assert not held, f"a quote is not closed: {held}"


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Apart at `&&`, `;`, `|`, `>` and parentheses; a redirection's file is a command of one word that nobody runs."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    command: list[str] = []
    redirected = False
    for word in reader:
        if set(word) <= _APART:
            yield command
            command, redirected = [], word[-1] in "<>"
        elif redirected:
            redirected = False
        else:
            command.append(word)
    yield command


def commands(text: str) -> Iterator[list[str]]:
    """Every command of a block in its order: the program's name first, variables that are set for it left out."""
    for line in logical_lines(text):
        for command in _simple_commands(line):
            while command and (_ASSIGNMENT.fullmatch(command[0]) or command[0] in _LEADING):
                command = command[1:]
            if command:
                yield command
