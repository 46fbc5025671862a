"""`edge probe` says what a machine is, and distrusts the answer."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from device_bench.jobs.job import Job
from device_bench.targets.in_process import InProcess
from device_bench.targets.target import Progress
from edge.cli.main import main
from edge.cli.probe import check_probe
from edge.errors import EngineError

pytestmark = pytest.mark.light


class Lying:
    """A target whose probe is whatever it is given."""

    kind, name, agent_sha256 = "ssh", "ssh://pi@board", None

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told

    def probe(self) -> Mapping[str, Any]:
        return self._told

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        raise EngineError("it runs nothing")

    def close(self) -> None:
        return


@pytest.mark.unhurried
def test_this_machine_is_probed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["target"] == "local" and told["machine"]["architecture"] and told["state"]["time_utc"]
    assert all(taint["advice"] for taint in told["taints"])
    assert main(["probe"]) == 0
    assert "python" in capsys.readouterr().out


def test_an_answer_is_checked() -> None:
    good = json.loads(json.dumps(InProcess().probe()))
    assert check_probe(Lying(good), good).machine.architecture == good["machine"]["architecture"]
    for broken in ({}, {**good, "machine": {**good["machine"], "cores": "four"}}, {**good, "state": None}):
        with pytest.raises(EngineError, match="ssh://pi@board: its answer does not hold"):
            check_probe(Lying(broken), broken)


def test_a_target_that_fails_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit code 1; with --json every target has its object."""
    nobody = "ssh://nobody@127.0.0.1:1"
    assert main(["probe", "--on", nobody, "--on", "local", "--json"]) == 1
    captured = capsys.readouterr()
    failed, told = (json.loads(line) for line in captured.out.splitlines())
    assert failed == {"target": nobody, "error": captured.err.strip().removeprefix("edge probe: ")}
    assert told["target"] == "local" and told["machine"]
    assert main(["probe", "--on", nobody]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--resume", "--wheels=x", "--timeout=5", "--benchmark-binary=x"])
def test_options_of_a_measurement_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", option]) == 2
    assert "No such option" in capsys.readouterr().err


def test_an_unknown_target_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--on", "local", "--on", "locl"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1, "refused before any target is asked"
