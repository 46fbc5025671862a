"""`edge models --fit`: what a device has room for, measured here, and the line that trains it."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from device_bench.records.record_lines import read_records
from edge.cli.fit_output import train_line
from edge.cli.main import main
from edge.models.candidates import candidates
from edge.models.registry import build
from edge.recipe.recipe import Data
from edge.training.own_recipe import Images, own_recipe
from tests.device_bench.targets.adb_server import serving
from tests.device_bench.targets.test_adb import BINARY, SERIAL, device
from tests.support.lacking import lacking

SMALL = ["models", "--fit", "mobilenet_v1", "--width", "0.25", "--classes", "3", "--sizes", "32,64"]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_listed_was_measured_and_is_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, page = tmp_path / "fit", tmp_path / "front.html"
    asked = [*SMALL, "--latency-budget", "60s", "--size-budget", "1MB", "-o", str(folder), "--json"]
    assert main(asked) == 0
    first = lines_of(capsys.readouterr().out)
    assert [entry["outcome"] for entry in first] == ["fits", "fits"]
    assert [entry["resolution_wh"] for entry in first] == [[64, 64], [32, 32]]  # the most capable first
    for entry in first:
        assert entry["size_bytes"] == (Path(entry["artifact"]) / "model.tflite").stat().st_size
        assert 0 < entry["latency_ns"]["p90"] < 60e9
    records = folder / "records.jsonl"
    before = records.read_bytes()
    assert {record.measured.name for record in read_records(records)} == {entry["name"] for entry in first}
    assert main(asked) == 0
    assert lines_of(capsys.readouterr().out) == first
    assert records.read_bytes() == before
    # what lies there damaged is named, and not told as a network that does not fit
    file = Path(first[1]["artifact"]) / "model.tflite"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert main(asked) == 1
    told = capsys.readouterr().err
    assert (
        "model.tflite: changed: 100 bytes" in told and f"delete the folder {file.parent}, and it is made again" in told
    )
    file.write_bytes(whole)
    # nothing fits: the nearest are told, and the exit code is that of a verdict
    assert main([*SMALL, "--size-budget", "200kB", "-o", str(folder)]) == 1
    told = capsys.readouterr().err
    assert "nothing fits 200 kB; the nearest:\nmobilenet_v1-0.25-" in told
    assert main(["report", str(records), "-o", str(page)]) == 0
    assert "What fits a device" in page.read_text("utf-8")


@pytest.mark.parametrize("task", ["classify", "segment", "detect"])
def test_the_line_trains_the_network_that_was_measured(task: str) -> None:
    size = (64, 64)
    for candidate in candidates(task, widths=[0.35], sizes_hw=[size], classes=4, attention=["none", "gct"]):
        words = shlex.split(train_line(candidate, task))
        settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
        recipe = own_recipe(
            Data(train={"split": "generated:classify:train"}),  # type: ignore[arg-type]  # a split by its name
            Images(task=task, classes=4, count=100, size_hw=(480, 640) if task == "segment" else None),  # type: ignore[arg-type]
            model=words[words.index("--model") + 1],
            overrides=settings,
        )
        trained = build(recipe.model.name, **{**recipe.model.arguments, **candidate.arguments})
        assert recipe.model.name == candidate.model
        assert trained.input_shape == (1, 3, *size)
        assert {
            name: recipe.model.arguments.get(name, value) for name, value in candidate.arguments.items()
        } == candidate.arguments


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "--fit without a budget: say --latency-budget 20ms, --size-budget 2MB, or both"),
        (["--latency-budget", "20"], "'20' has no unit; write a number and one of ns, us, ms, s, such as 30ms"),
        (["--size-budget", "2MX"], "'2MX' is not a size"),
        (["--latency-budget", "20ms", "--on", "lokal"], "did you mean 'local'"),
        (["--latency-budget", "20ms", "--on", "local", "--on", "adb"], "--fit measures on one target"),
        (["--latency-budget", "20ms", "--on", "emulated-arm64"], "an emulated processor has no time"),
        (["--instruction-budget", "50M"], "instructions are counted with --on emulated-arm64"),
        (["--latency-budget", "20ms", "--task", "clasify"], "did you mean 'classify'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "-o", str(tmp_path / "fit"), *more]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


def test_options_of_fit_are_refused_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--size-budget", "2MB"]) == 2
    assert "--size-budget is for --fit" in capsys.readouterr().err


@pytest.mark.unhurried
@pytest.mark.parametrize(("budget", "outcome"), [("300ms", "fits"), ("270ms", "edge"), ("200ms", "too slow")])
def test_a_phone_is_measured_by_the_tool_that_runs_there(
    budget: str, outcome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mean of 266 ms stands in for a percentile, which it does not give."""
    if shutil.which("adb") is None:
        lacking("adb is not installed: Debian's package adb")
    binary = tmp_path / "benchmark_model"
    binary.write_text(BINARY)
    phone = device(tmp_path / "phone")
    asked = ["--latency-budget", budget, "-o", str(tmp_path / "fit"), "--on", "adb", "--benchmark-binary", str(binary)]
    with serving({SERIAL: phone}) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert main([*SMALL, *asked, "--json"]) == (0 if outcome == "fits" else 1)
    entries = lines_of(capsys.readouterr().out)
    assert {entry["outcome"] for entry in entries} == {outcome}
    (target,) = {record.target.name for record in read_records(tmp_path / "fit" / "records.jsonl")}
    assert target == f"adb:{SERIAL}"
    assert len([name for name in phone.pushed if "model.tflite" in name]) == len(entries)
