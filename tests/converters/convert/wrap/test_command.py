"""`edge convert` of a finished file: what it prints, and which options it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli.main import main
from tests.converters.convert.wrap.conftest import MakeCard


def test_a_tflite_file_is_wrapped_verified_and_shown(
    quantized: Callable[..., Path], card: MakeCard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "artifact"
    assert main(["convert", str(quantized()), "--card", str(card()), "-o", str(folder)]) == 0
    told = capsys.readouterr()
    assert "0 of 9 values differ from the integer simulation" in told.err and "ship" in told.err
    assert main(["inspect", str(folder)]) == 0


def test_the_output_that_is_used_is_shown(
    several: Path, card: MakeCard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "artifact"
    words = ["convert", str(several), "--as-is", "--card", str(card('output = "p"')), "-o", str(folder)]
    assert main([*words, "--no-verify"]) == 0
    capsys.readouterr()
    assert main(["inspect", str(folder)]) == 0
    assert "'p' (probabilities), of 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--io", "uint8", "--head", "logits"], "--head, --io: "),
        (["--calibration", "generated:classify:val"], "--calibration: "),
        (["--batch", "2"], "--batch: "),
        (["-n", "4"], "-n counts images of the self-test"),
        (["-o", "{folder}/b.tflite"], "is a finished file already; name a folder"),
    ],
)
def test_what_would_change_the_file_is_refused(
    several: Path, card: MakeCard, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    asked = [word.format(folder=tmp_path) for word in words]
    source = ["convert", str(several), "--as-is", "--card", str(card('output = "p"')), "-o", str(tmp_path / "artifact")]
    assert main([*source, *asked]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "artifact").exists()


def test_without_a_card_the_way_to_one_is_told(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(several), "--as-is", "-o", str(tmp_path / "artifact")]) == 2
    assert f"`edge inspect {several} --starter-card` begins one" in capsys.readouterr().err


def test_what_only_a_finished_file_has_is_refused_elsewhere(
    several: Path, card: MakeCard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["convert", str(several), "-o", str(tmp_path / "artifact"), "--card"]
    assert main([*words, str(card('output = "p"'))]) == 2
    assert "output is for a finished file that is wrapped as it is; add --as-is" in capsys.readouterr().err
    assert main([*words, str(card()), "--selftest", "generated:classify:val"]) == 2
    assert "--selftest is for a finished file" in capsys.readouterr().err
