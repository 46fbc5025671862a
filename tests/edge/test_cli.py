"""The command line: one line per error, exit codes, no guess."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest

from edge.cli import EXTRAS, VERBS, edge, main, out_of_memory
from edge.errors import unknown_name

ROOT = Path(__file__).resolve().parents[2]


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
    "inspect": [],
    "bench": [],
    "report": [],
    "compare": ["{out}"],
    "camera": ["--source", "0"],
}


def test_every_verb_but_two_takes_a_path() -> None:
    assert {*TAKES_A_PATH, "models", "probe"} == set(VERBS)


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
    "torch": ["train", "absent.toml", "-o", "out"],
    "onnx": ["inspect", "absent.onnx"],
    "duckdb": ["report", "absent.jsonl", "--csv", "out.csv"],
    "jinja2": ["report", "absent.jsonl", "-o", "out.html"],
}


@pytest.mark.parametrize("package", NEEDED)
def test_a_missing_package_is_one_line_that_names_the_extra(package: str, tmp_path: Path) -> None:
    """In a process where its import fails, as it does where it is not installed; nothing is read before."""
    code = f"import sys; sys.modules[{package!r}] = None\nfrom edge.cli import main; sys.exit(main(sys.argv[1:]))"
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
    assert done.returncode == 1 and package in line and f"pip install 'edge-deploy[{EXTRAS[package]}]'" in line
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
