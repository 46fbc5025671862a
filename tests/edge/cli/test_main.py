"""The command line: one line per error, exit codes, no guess."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest

from edge.cli.main import VERBS, edge, main, out_of_memory
from edge.errors import EngineError, unknown_name
from edge.files import interrupts
from edge.installation import EXTRAS

ROOT = Path(__file__).resolve().parents[3]


def test_a_misspelt_verb_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line."""
    assert main(["convrt"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "edge: unknown verb 'convrt'; did you mean 'convert'?\n"


def test_a_misspelt_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """click's usage errors come out as our one line."""
    assert main(["models", "--jsn"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("edge models: No such option") and err.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`edge VERB --help` shows a command that can be typed."""
    assert main([verb, "--help"]) == 0
    assert f"edge {verb}" in capsys.readouterr().out.split("Usage:", 1)[1].split("\n", 1)[1]


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_the_help_are_commands_that_hold(verb: str) -> None:
    """Each is understood: its options exist and their values are of the right kind."""
    command = edge.get_command(click.Context(edge), verb)
    assert command is not None
    found = re.findall(rf"\bedge {verb}\b(.*)", f"{command.help}\n{command.epilog or ''}")
    assert found
    for line in found:
        command.make_context(verb, shlex.split(line.partition(">")[0], comments=True))


def test_every_option_of_a_bench_stands_under_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    told = capsys.readouterr().out
    rest = told.split("Other options:")[1].split("Example:")[0]
    assert re.findall(r"--[a-z-]+", rest) == ["--help"]
    listed = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", told, re.MULTILINE)
    assert len(listed) == len(set(listed)) and {"--on", "--threads", "--max-warmup-seconds", "--wheels"} <= set(listed)


def test_an_unknown_name_far_from_all_lists_the_known_ones() -> None:
    """No guess when nothing is near."""
    assert unknown_name("engine", "zzz", ["litert", "null"]) == "unknown engine 'zzz'; known: litert, null"


# verb that takes a path -> what it needs beside it; {out} is where it would write
TAKES_A_PATH = {
    "train": ["-o", "{out}"],
    "eval": [],
    "quantize": ["--calibration", "generated:classify:train", "-n", "4", "-o", "{out}"],
    "convert": ["-o", "{out}"],
    "verify": [],
    "doctor": [],
    "inspect": [],
    "bench": [],
    "report": [],
    "compare": ["{out}"],
    "camera": ["--source", "0"],
    "explain": [str(ROOT / "calibration_data/classify/images/object_2000000.png")],
    "sizes": ["--sizes", "64"],
}


def test_every_verb_but_three_takes_a_path() -> None:
    assert {*TAKES_A_PATH, "models", "recipes", "probe"} == set(VERBS)


@pytest.mark.parametrize("verb", TAKES_A_PATH)
def test_a_missing_path_on_the_command_line_is_asked_wrongly(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.onnx")
    assert main([verb, absent, *(word.format(out=tmp_path / "out") for word in TAKES_A_PATH[verb])]) == 2
    assert f"{absent}: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# package -> a verb that needs it
NEEDED = {
    "torch": ["train", "mobilenet_v2_generated", "-o", "out"],
    "onnx": ["inspect", "absent.onnx"],
    "duckdb": ["report", "absent.jsonl", "--csv", "out.csv"],
    "jinja2": ["report", "absent.jsonl", "-o", "out.html"],
}


@pytest.mark.parametrize("package", NEEDED)
def test_a_missing_package_is_one_line_that_names_the_extra(package: str, tmp_path: Path) -> None:
    """In a process where its import fails, as it does where it is not installed; nothing is read before."""
    code = f"import sys; sys.modules[{package!r}] = None\nfrom edge.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *NEEDED[package]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and package in line and re.search(rf"pip install (.* )?'?{package}\b", line)
    assert not list(tmp_path.iterdir())


def test_the_extras_bring_what_they_are_named_for() -> None:
    """The table beside the verbs, held to the project's own file."""
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        asked = {re.split(r"[<>=;\[]", word)[0].strip() for word in given[extra]}
        assert package.replace("_", "-") in asked, package


def test_a_memory_that_does_not_suffice_is_told_from_a_defect() -> None:
    with pytest.raises(MemoryError) as plain:
        np.empty(1 << 60, np.uint8)
    assert out_of_memory(plain.value)
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as framework:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(framework.value)
    assert not out_of_memory(RuntimeError("the memory of this object is not contiguous"))


def broken(error: BaseException) -> click.Command:
    """A verb that ends in an error."""

    @click.command("models")
    @click.option("--json", is_flag=True)
    def command(json: bool) -> None:
        raise error

    return command


class Unprintable(Exception):
    """Its text fails."""

    def __str__(self) -> str:
        raise UnicodeError


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("first\nsecond \x1b[31m"),
        OverflowError("x" * 100_000),
        RecursionError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        OSError(5, "Input/output error"),
        ImportError("libGL.so.1"),
        AssertionError(),
        Unprintable(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw_is_a_line_that_names_its_report(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(edge, "get_command", lambda context, name: broken(error))
    assert main(["models", "--json"]) == 70
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    (report,) = tmp_path.glob("edge-error-*.txt")
    assert line.startswith(f"edge models: unforeseen: {type(error).__name__}: ") and len(line) < 1000
    assert f"; traceback in {report}; please report it" in line and line.isprintable()
    assert report.stat().st_mode & 0o777 == 0o600 and report.stat().st_size < 300_000
    assert "raise error" in report.read_text() and "'--json'" in report.read_text()
    assert json.loads(told.out)["exit_code"] == 70


def test_a_report_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.setattr(edge, "get_command", lambda context, name: broken(ValueError("x")))
    assert main(["models"]) == 70
    assert "its traceback could not be written: [Errno 2]" in capsys.readouterr().err


def process(*words: str, folder: Path, shell: str = '"$@"') -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own, started by a shell that says where its output goes."""
    command = ["sh", "-c", shell, "sh", sys.executable, "-m", "edge", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.mark.parametrize("words", [["--help"], ["bench", "--help"], ["probe", "--json"]])
def test_an_output_that_cannot_be_written_is_one_line(words: list[str], tmp_path: Path) -> None:
    done = process(*words, folder=tmp_path, shell='"$@" > /dev/full')
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.endswith("standard output: cannot be written: No space left on device")


@pytest.mark.parametrize("words", [["--help"], ["bench", "--help"], ["models", "--help"]])
def test_a_help_that_nobody_reads_to_its_end_is_one_line(words: list[str], tmp_path: Path) -> None:
    """A pipe without a reader; a text larger than Python's buffer fails elsewhere than a short one."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "edge", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    os.close(writer)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.endswith("standard output: cannot be written: Broken pipe")


@pytest.mark.parametrize(("package", "words"), [("click", ["--help"]), ("cv2", ["camera", "--help"])])
def test_an_interrupt_while_modules_are_imported_is_one_line(package: str, words: list[str], tmp_path: Path) -> None:
    """As early as Python gives us the word: before click is there, and while a verb brings its libraries."""
    (tmp_path / f"{package}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = process(*words, folder=tmp_path, shell=f'PYTHONPATH="{tmp_path}:$PYTHONPATH" "$@"')
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr in ("edge: interrupted\n", "edge camera: interrupted\n")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Query interrupted"),  # of DuckDB
        EngineError("ai-edge-litert is not installed here (initialization failed)"),  # of an extension module's import
    ],
)
def test_what_native_code_makes_of_an_interrupt_is_an_interrupt(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interrupts, "came", lambda: True)
    monkeypatch.setattr(edge, "get_command", lambda context, name: broken(error))
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "edge models: interrupted\n"


def test_numbers_of_options_are_bounded_in_every_verb() -> None:
    """NaN compares with nothing, so click's own range lets it pass."""
    for path in (ROOT / "edge" / "cli").glob("*.py"):
        if path.name != "bounded_number.py":
            assert not re.search(r"click\.(IntRange|FloatRange|FLOAT)|type=(int|float)\b", path.read_text()), path.name
