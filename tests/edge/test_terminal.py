"""What is printed is plain text in the output's encoding, and an output that fails is a line that names it."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from edge import terminal
from edge.errors import FileError

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "\x1b[31mX\x1b]0;pwn\x07\u202e\u2066\u2028\x85\x9b\x7f\r\n[/nope] [bold]b[/bold] :smile: \udcff"
PLAIN = r"\x1b[31mX\x1b]0;pwn\x07\u202e\u2066\u2028\x85\x9b\x7f\r\n[/nope] [bold]b[/bold] :smile: \udcff"


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_lines_and_tables_hold_data_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(HOSTILE)
    assert printed(capsys) == PLAIN + "\n"
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    terminal.show_wide(table)
    told = printed(capsys)
    assert told.count(PLAIN) == 3 and told.replace("\n", "").isprintable()
    terminal.show(HOSTILE, style="bold red")
    assert printed(capsys) == PLAIN + "\n"


def test_json_is_ascii_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say_json({"name": HOSTILE, "values": [float("nan"), float("inf"), (1.5,)]})
    told = printed(capsys)
    assert told.isascii() and told.rstrip("\n").isprintable()
    assert json.loads(told) == {"name": HOSTILE, "values": [None, None, [1.5]]}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp437"])
def test_what_an_encoding_lacks_is_escaped(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding=encoding, errors="strict"))
    table = Table("größe 日本", title="\udcff")
    table.add_row("… €")
    terminal.show(table)
    terminal.say("größe 日本 … \udcff")
    assert "größe" in held.getvalue().decode(encoding) or b"gr\\xf6" in held.getvalue()


def test_a_closed_output_is_named() -> None:
    code = "from edge.terminal import say\nfrom edge.errors import FileError\nimport sys\ntry:\n    say('x')\n"
    code += "except FileError as error:\n    sys.stderr.write(str(error))"
    for command, told in (
        ("exec {python} -c {code} >&-", "standard output: is closed"),
        ("exec {python} -c {code} >/dev/full", "standard output: cannot be written: No space left on device"),
    ):
        done = subprocess.run(
            ["sh", "-c", command.format(python=sys.executable, code=f'"{code}"')],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, told)  # and nothing more when the process ends


def test_a_pipe_that_nobody_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:  # noqa: PTH123 (a descriptor)
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(FileError, match="standard output: cannot be written: Broken pipe"):
            terminal.say("x")
        terminal.flush_output()  # led nowhere since


def test_a_line_for_a_person_is_one_line_and_never_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.tell("a\nb\x1b")
    assert capsys.readouterr().err == "a b\\x1b\n"
    monkeypatch.setattr(sys, "stderr", None)
    terminal.tell("lost")


@pytest.mark.unhurried
def test_nothing_else_prints() -> None:
    """Not click, not rich's own console, not print: in no module that a verb runs."""
    own = {"edge/terminal.py"}
    elsewhere = ("/benchmarks/", "onnx2tf/agent.py", "onnx2tf/isolated.py")  # no part of a verb's process
    found = []
    for package in ("edge", "converters", "device_bench"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name in own or any(part in name for part in elsewhere):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    if called in ("print", "Console", "Progress", "Live", "Text.from_markup") or called.endswith(
                        (".echo", ".secho", "stdout.write", "stdout.buffer.write", "stderr.write")
                    ):
                        found.append(f"{name}:{node.lineno}: {called}")
    assert found == []
