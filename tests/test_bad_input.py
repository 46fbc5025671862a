"""Bad input gives one line that names the file, exit code 1 or 2, and leaves every file as it was."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli.main import main

Damage = Callable[[bytes], bytes]


def truncated(data: bytes) -> bytes:
    """The first third."""
    return data[: len(data) // 3]


def flipped(data: bytes) -> bytes:
    """64 bits flipped, all over."""
    changed = bytearray(data)
    rng = random.Random(7)
    for _ in range(64):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def foreign(data: bytes) -> bytes:
    """A PNG's first bytes and noise: some other program's file."""
    return b"\x89PNG\r\n\x1a\n" + random.Random(3).randbytes(4096)


def empty(data: bytes) -> bytes:
    """Nothing."""
    return b""


DAMAGES: dict[str, Damage] = {f.__name__: f for f in (truncated, flipped, foreign, empty)}

# what is damaged, under the road's folder -> a command that reads it; {out} is where it would write
COMMANDS: dict[str, tuple[str, ...]] = {
    "tiny.toml": ("train", "{road}/tiny.toml", "-o", "{out}"),
    "run/float.safetensors": ("convert", "{road}/run/float.safetensors", "-o", "{out}", "--no-verify"),
    "run/qat.safetensors": ("convert", "{road}/run/qat.safetensors", "-o", "{out}", "--no-verify"),
    "int8/source.onnx": ("convert", "{road}/int8/source.onnx", "-o", "{out}", "--card", "{road}/card.toml"),
    "int8/model.tflite": ("inspect", "{road}/int8/model.tflite"),
    "int8/model.onnx": ("verify", "{road}/int8"),
    "int8/manifest.json": ("bench", "{road}/int8"),
    "int8/selftest.npz": ("camera", "{road}/int8", "--source", "{road}/images", "--out", "{out}.mp4"),
    "images/a.png": ("eval", "{road}/int8", "--images", "{road}/images", "--labels", "{road}/labels.txt"),
    "card.toml": ("convert", "{road}/int8/source.onnx", "-o", "{out}", "--card", "{road}/card.toml"),
}
# Bit flips that leave a file valid are no bad input: text and weights without a hash of their own.
MAY_STAY_VALID = {("int8/source.onnx", "flipped"), ("int8/model.tflite", "flipped"), ("images/a.png", "flipped")}


@pytest.fixture
def copy(road: Path, tiny_card: str, tmp_path: Path) -> Path:
    """A copy of the road, with a card and a folder of images, to be damaged."""
    from edge.data.open_split import open_split
    from edge.vision.pixels import Pixels

    folder = tmp_path / "copy"
    shutil.copytree(road, folder)
    (folder / "card.toml").write_text(tiny_card)
    (folder / "images").mkdir()
    image: Pixels = open_split(split="generated:classify:val:1").image(0)
    cv2.imwrite(str(folder / "images" / "a.png"), image)
    (folder / "labels.txt").write_text("a.png\t0\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("subject", COMMANDS)
def test_a_damaged_file_is_one_line_and_loses_nothing(
    copy: Path, subject: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is damaged and however, for every verb that reads it."""
    path = copy / subject
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    before = contents(copy.parent)
    arguments = [word.format(road=copy, out=copy.parent / "out") for word in COMMANDS[subject]]
    capsys.readouterr()
    status = main(arguments)
    captured = capsys.readouterr()
    if status == 0 and (subject, damage) in MAY_STAY_VALID:
        return
    assert status in (1, 2), captured.out
    lines = [line for line in captured.err.splitlines() if line.startswith("edge ")]
    assert len(lines) == 1, captured.err
    assert path.name in lines[0] or path.parent.name in lines[0], lines[0]
    assert "Traceback" not in captured.err
    assert contents(copy.parent) == before


@pytest.mark.parametrize("subject", COMMANDS)
def test_a_missing_file_is_one_line(copy: Path, subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names it."""
    (copy / subject).unlink()
    capsys.readouterr()
    arguments = [word.format(road=copy, out=copy.parent / "out") for word in COMMANDS[subject]]
    assert main(arguments) in (1, 2)
    err = capsys.readouterr().err
    assert err.count("edge ") == 1 or err.startswith("edge ")
    assert Path(subject).name in err or Path(subject).parent.name in err


# The last word names a file that the command reads, or one that another command needs.
OVERWRITING: tuple[tuple[str, ...], ...] = (
    ("report", "{road}/records.jsonl", "-o", "{road}/records.jsonl"),
    ("report", "{road}/records.jsonl", "--markdown", "{road}/records.jsonl"),
    ("report", "{road}/records.jsonl", "--csv", "{road}/records.jsonl"),
    ("verify", "{road}/int8", "--html", "{road}/int8/model.tflite"),
    ("camera", "{road}/int8", "--source", "{road}/drive.mp4", "--out", "{road}/drive.mp4"),
    ("camera", "{road}/int8", "--source", "{road}/images", "--out", "{road}/images"),
    ("convert", "{road}/int8/source.onnx", "-o", "{road}/int8/source.onnx"),
    ("convert", "{road}/run/qat.safetensors", "-o", "{road}/run"),
    ("bench", "{road}/int8", "--engine", "null", "-o", "{road}/int8/model.tflite"),
)


@pytest.mark.parametrize("command", OVERWRITING, ids=" ".join)
def test_no_file_that_is_read_is_written_over(
    copy: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from device_bench.records.record_lines import append_records
    from tests.benchmarks.fleet import record

    append_records(copy / "records.jsonl", [record(0, np.random.default_rng(1))])
    film = cv2.VideoWriter(str(copy / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (64, 48))
    film.write(np.zeros((48, 64, 3), np.uint8))
    film.release()
    before = contents(copy)
    capsys.readouterr()
    assert main([word.format(road=copy) for word in command]) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert contents(copy) == before
