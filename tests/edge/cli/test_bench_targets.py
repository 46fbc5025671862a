"""Options reach the targets that they mean something to, and are refused where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.cli.bench_targets import NAMES, OWNERS, chosen
from edge.cli.main import main
from edge.errors import UsageError

NOTHING: dict[str, Any] = dict.fromkeys(NAMES) | {"resume": False}


def test_an_option_reaches_the_targets_it_belongs_to_and_no_other() -> None:
    asked = NOTHING | {"python": "/opt/python3", "benchmark_binary": Path("b"), "timeout_s": 5.0}
    local, board, phone = chosen(["local", "ssh://pi@board", "adb:R58"], asked)
    assert (local.python, board.python, phone.python) == ("/opt/python3", "/opt/python3", None)
    assert (local.benchmark_binary, board.benchmark_binary, phone.benchmark_binary) == (None, None, Path("b"))
    assert {its.timeout_s for its in (local, board, phone)} == {5.0}


@pytest.mark.parametrize("option", OWNERS)
def test_an_option_that_no_named_target_has_is_refused(option: str) -> None:
    other = "emulated-arm64" if "local" in OWNERS[option] else "local"
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} means nothing to {other}; it belongs to"):
        chosen([other], NOTHING | {option: "x"})


def test_wheels_are_for_preparing(
    make_artifact: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(make_artifact()), "--on", "ssh://pi@board", "--wheels", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "edge bench: --wheels: they are for --prepare; a measurement needs none\n"


def test_preparing_goes_on_after_a_target_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--on", "ssh://nobody@127.0.0.1:1", "--on", "ssh://nobody@127.0.0.1:2"]
    assert main(["bench", "--remove-agent", *both]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "127.0.0.1:1" in first and "127.0.0.1:2" in second
