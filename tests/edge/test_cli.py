"""The command line: one line per error, exit codes, no guess."""

from pathlib import Path

import pytest

from edge.cli import VERBS, main
from edge.errors import unknown_name


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


def test_an_unknown_name_far_from_all_lists_the_known_ones() -> None:
    """No guess when nothing is near."""
    assert unknown_name("engine", "zzz", ["litert", "null"]) == "unknown engine 'zzz'; known: litert, null"


@pytest.mark.parametrize("verb", ["inspect", "bench", "convert", "verify", "eval"])
def test_a_missing_path_on_the_command_line_is_asked_wrongly(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.onnx")
    output = ["-o", str(tmp_path / "out")] if verb == "convert" else []
    assert main([verb, absent, *output]) == 2
    assert f"{absent}: " in capsys.readouterr().err
