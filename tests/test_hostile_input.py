"""Whatever a command is given, it ends in one printable line and a known exit code, and waits for nothing."""

import io
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli.main import VERBS, main

pytestmark = pytest.mark.timeout(120)

# verb and place of a path -> the command; {it} is what is hostile, {out} where would be written
PLACES: dict[str, str] = {
    "train recipe": "train {it} -o {out}",
    "train init": "train tiny.toml -o {out} --phase qat --init {it}",
    "train images": "train --images {it} -o {out}",
    "train labels": "train --images images --labels {it} -o {out}",
    "train masks": "train --images images --masks {it} -o {out}",
    "train boxes": "train --images images --boxes {it} -o {out}",
    "train weights": "train --images classes --init {it} -o {out}",
    "train data": "train tiny.toml -o {out} --set data.train={it}",
    "eval subject": "eval {it} --split generated:classify:val:2",
    "eval split": "eval int8 --split {it}",
    "eval images": "eval int8 --images {it} --labels labels.txt",
    "eval labels": "eval int8 --images images --labels {it}",
    "eval masks": "eval int8 --images images --masks {it}",
    "eval boxes": "eval int8 --images images --boxes {it}",
    "eval classes": "eval int8 --images images --labels labels.txt --classes {it}",
    "quantize source": "quantize {it} --calibration generated:classify:train:4 -o {out}",
    "quantize card": "quantize float/model.onnx --card {it} --calibration generated:classify:train:4 -o {out}",
    "quantize calibration": "quantize run/float.safetensors --calibration {it} -o {out}",
    "quantize images": "quantize run/float.safetensors --images {it} -o {out}",
    "convert source": "convert {it} -o {out}",
    "convert source to a file": "convert {it} -o {out}.tflite",
    "convert card": "convert int8/source.onnx --card {it} -o {out}",
    "convert calibration": "convert int8/source.onnx --card card.toml --calibration {it} -o {out}",
    "verify artifact": "verify {it}",
    "verify split": "verify int8 --split {it}",
    "verify images": "verify int8 --images {it}",
    "verify labels": "verify int8 --images images --labels {it}",
    "verify parent": "verify int8 --engine litert -n 1 --parent {it}",
    "verify records": "verify int8 --latency-budget 1s --records {it}",
    "explain subject": "explain {it} images/a.png -o {out}",
    "explain image": "explain int8 {it} -o {out}",
    "explain compared": "explain int8 images/a.png --compare {it} -o {out}",
    "explain images": "explain int8 --compare int8 --images {it} -o {out}",
    "explain split": "explain int8 --compare int8 --split {it} -o {out}",
    "inspect": "inspect {it}",
    "bench": "bench {it} --engine null",
    "bench baseline": "bench int8 --on emulated-arm64 --engine litert --check --baseline {it}",
    "bench picture": "bench int8 --engine null --end-to-end {it}",
    "bench python": "bench int8 --engine null --python {it}",
    "report": "report {it} --csv {out}.csv",
    "compare base": "compare {it} records.jsonl",
    "compare new": "compare records.jsonl {it}",
    "camera artifact": "camera {it} --source images",
    "camera source": "camera int8 --source {it}",
    "convert finished card": "convert float/model.onnx --as-is --card {it} -o {out}",
    "convert finished images": "convert float/model.onnx --as-is --card card.toml --selftest {it} -o {out}",
    "doctor model": "doctor {it}",
    "doctor card": "doctor float/model.onnx --card {it}",
    "doctor parent": "doctor int8 --parent {it}",
    "doctor calibration": "doctor float/model.onnx --calibration {it}",
    "inspect begun card": "inspect {it} --starter-card",
    "sizes": "sizes {it} --sizes 32x32 --split generated:classify:val:2 --no-latency",
}
THINGS = ("absent", "long", "nul", "pipe", "zero", "circle", "folder", "empty", "noise", "socket")


@pytest.fixture(scope="module")
def place(road: Path, tiny_card: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the road with images, labels and records, and every hostile thing; the working directory."""
    folder = tmp_path_factory.mktemp("h") / "road"
    shutil.copytree(road, folder)
    before = Path.cwd()
    os.chdir(folder)
    Path("card.toml").write_text(tiny_card)
    Path("images").mkdir()
    cv2.imwrite("images/a.png", np.full((40, 40, 3), 90, np.uint8))
    Path("labels.txt").write_text("a.png\t0\n")
    for name in ("a", "b"):
        shutil.copytree("images", f"classes/{name}")
        shutil.copy("images/a.png", f"classes/{name}/b.png")
    from device_bench.records.record_lines import append_records
    from tests.benchmarks.fleet import record

    append_records(Path("records.jsonl"), [record(0, np.random.default_rng(1))])
    os.mkfifo("pipe")
    Path("zero").symlink_to("/dev/zero")
    Path("circle").symlink_to("circle")
    Path("folder").mkdir()
    Path("empty").write_bytes(b"")
    Path("noise").write_bytes(np.random.default_rng(5).bytes(5000))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield folder
    os.chdir(before)


def ends(words: list[str], capsys: pytest.CaptureFixture[str], *codes: int) -> str:
    """Run a command; its last words, after they were found to be one printable line."""
    capsys.readouterr()
    code = main(words)
    told = capsys.readouterr()
    assert code in codes, (code, told.err)
    assert all(line.isprintable() for line in told.out.split("\n")), told.out
    lines = told.err.splitlines()
    assert all(line.isprintable() for line in told.err.split("\n")), told.err
    if code and (lines or 0 not in codes):  # a verdict is an exit code without a line
        assert [line.startswith(f"edge {words[0]}: ") for line in lines] == [True], told.err
        assert len(lines[0]) < 2200
    return told.err


def test_every_verb_is_tried() -> None:
    assert {name.split()[0] for name in PLACES} | {"models", "recipes", "probe"} == set(VERBS)


def every_pair() -> Iterator[object]:
    """Everything at every place; but for two things a place, and as many places for every thing, they are a sweep."""
    for row, where in enumerate(PLACES):
        for column, thing in enumerate(THINGS):
            swept = () if (row - column) % 5 == 0 else pytest.mark.slow
            yield pytest.param(where, thing, id=f"{where}-{thing}", marks=swept)


@pytest.mark.parametrize(("where", "thing"), list(every_pair()))
def test_whatever_a_path_names_is_refused_in_one_line(
    where: str, thing: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    it = {"long": "a" * 300, "nul": "a\0b"}.get(thing, thing)
    words = [word.format(it=it, out=place / "out") for word in PLACES[where].split()]
    ends(words, capsys, 1, 2)
    if words[0] == "train":
        shutil.rmtree(place / "out", ignore_errors=True)  # a run's folder holds its recipe from the beginning
    assert not list(place.glob("out*"))


# what a path is to be written to -> the command
OUTPUTS = {
    "train": "train tiny.toml -o {it}/x/y",
    "convert": "convert run/float.safetensors -o {it}/x --no-verify",
    "convert to a file": "convert run/float.safetensors -o {it}/x.tflite --no-verify",
    "quantize": "quantize run/float.safetensors --calibration generated:classify:train:4 -o {it}/x --no-verify",
    "bench": "bench int8 --engine null -o {it}/x.jsonl",
    "report": "report records.jsonl -o {it}/x.html",
    "camera pictures": "camera int8 --source images -o {it}/x",
    "camera film": "camera int8 --source images -o {it}/x.mp4",
}


@pytest.mark.parametrize("thing", ["long", "nul", "pipe", "zero", "circle", "empty", "socket"])
@pytest.mark.parametrize("where", OUTPUTS)
def test_where_nothing_can_be_written_is_refused_in_one_line(
    where: str, thing: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    it = {"long": "a" * 300, "nul": "a\0b"}.get(thing, thing)
    ends([word.format(it=it) for word in OUTPUTS[where].split()], capsys, 1, 2)


HOSTILE = "\x1b[31mX\x1b]0;pwn\x07\u202e\u2028\x85\n[/nope] [bold]b\udcff"


@pytest.fixture(scope="module")
def named(place: Path) -> Path:
    """An artifact whose folder, name and classes, and a picture whose file name, would steer a terminal."""
    text = HOSTILE.encode("utf-8", "replace").decode()  # neither JSON nor a runtime takes half of a pair
    artifact = place / f"int8 {text.replace('/', '_')}"
    shutil.copytree(place / "int8", artifact)
    manifest = json.loads((artifact / "manifest.json").read_text())
    manifest["name"] = text
    manifest["labels"]["names"] = [f"{index} {text}" for index in range(8)]
    (artifact / "manifest.json").write_text(json.dumps(manifest))
    pictures = place / "pictures"
    pictures.mkdir()
    shutil.copy(place / "images" / "a.png", pictures / f"{HOSTILE.replace('/', '_')}.png")
    return artifact


@pytest.mark.parametrize(
    "command",
    [
        "inspect {it}",
        "inspect {it} --json",
        "bench {it} --engine null -o {place}/named.jsonl",
        "bench {it} --engine null --json",
        "report named.jsonl --json",
        "compare named.jsonl named.jsonl --allow-tainted",
        "camera {it} --source pictures",
        "camera {it} --source pictures --json",
        "camera {it} --source pictures -o {place}/drawn",
        "eval {it} --split generated:classify:val:4",
        "eval {it} --images pictures --labels labels.txt",
        "verify {it} --engine litert -n 2 --split generated:classify:val --no-rank",
        "verify {it} --engine litert -n 2 --split generated:classify:val --no-rank --json",
        "convert {it}/source.onnx -o {place}/again --card card.toml --name {text}",
    ],
)
def test_names_out_of_files_steer_no_terminal(
    command: str, place: Path, named: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(it=named, place=place, text=HOSTILE[:-1]) for word in command.split()]
    ends(words, capsys, 0, 1, 2)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_of_any_encoding_is_written_to(
    encoding: str, place: Path, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (
        ["inspect", str(named)],
        ["inspect", str(named / "model.tflite")],
        ["camera", str(named), "--source", "pictures"],
    ):
        held = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding=encoding, errors="strict"))
        assert main(words) == 0
        assert held.getvalue().decode(encoding)


# a file's content -> a command that reads it as {it}
CONTENTS: dict[str, tuple[str, str]] = {
    "nested recipe": ("a = " + "[" * 50_000, "train {it} -o {out}"),
    "recipe of digits": ("name = " + "9" * 5000, "train {it} -o {out}"),
    "recipe with a secret": ('name = "x"\n[data]\ntrain = "${HOSTILE_SECRET}"', "train {it} -o {out}"),
    "nested card": ("a = " + "[" * 50_000, "convert int8/source.onnx --card {it} -o {out}"),
    "card of digits": ("a = " + "9" * 5000, "convert int8/source.onnx --card {it} -o {out}"),
    "label of digits": ("a.png\t" + "9" * 5000, "eval int8 --images images --labels {it}"),
    "labels elsewhere": ("../a.png\t0", "eval int8 --images images --labels {it}"),
    "label of a long name": ("a" * 5000 + ".png\t0", "eval int8 --images images --labels {it}"),
    "label of a name with a zero byte": ("a\0.png\t0", "eval int8 --images images --labels {it}"),
    "labels without an end": ("a.png", "eval int8 --images images --labels {it}"),
    "classes of control characters": (
        "\x1b[31m\n\x07\n",
        "eval int8 --images images --labels labels.txt --classes {it}",
    ),
    "nested split": ("[" * 100_000, "eval int8 --split {it}"),
    "split of digits": ('{"version": ' + "9" * 5000 + "}", "eval int8 --split {it}"),
    "split of halves": ('{"format": "\\ud800"}', "eval int8 --split {it}"),
    "nested records": ("[" * 100_000, "report {it} --csv {out}.csv"),
    "records of digits": ('{"cold": ' + "9" * 5000 + "}", "compare {it} records.jsonl"),
    "records of NaN": ('{"cold": NaN}', "report {it} --csv {out}.csv"),
    "records of halves": ('{"command": "\\udcff"}', "report {it} --csv {out}.csv"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_whatever_a_file_holds_is_refused_in_one_line(
    content: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOSTILE_SECRET", "s3cr3t-token")
    text, command = CONTENTS[content]
    (place / "held").write_text(text)
    told = ends([word.format(it="held", out=place / "out") for word in command.split()], capsys, 1, 2)
    assert any(name in told for name in ("held", "a.png", "aaa", "labels.txt"))
    assert "s3cr3t" not in told
    shutil.rmtree(place / "out", ignore_errors=True)


VALUES = (
    "models nope",
    "models \x1b[31m",
    "train tiny.toml -o {out} --set train.seed=18446744073709551616",
    "train tiny.toml -o {out} --set train.epochs=[[[",
    "train tiny.toml -o {out} --set data.train=camvid:\x1b:val",
    "train tiny.toml -o {out} --set =",
    "train tiny.toml -o {out} --set model.classes=-1",
    "train tiny.toml -o {out} --set model.resolution=0",
    "train tiny.toml -o {out} --set model.width=1e300",
    "train tiny.toml -o {out} --set model.width=nan",
    "train tiny.toml -o {out} --set preprocess.height=1000000000",
    "train tiny.toml -o {out} --threads 0",
    "train tiny.toml -o {out} --set data.train=camvid:${root}:train --data-root " + "a" * 5000,
    "eval int8 --split generated:classify:val:99999999999999999999",
    "eval int8 --split :",
    "eval int8 --split camvid:",
    "eval int8 --split ${HOME}",
    "eval int8 --split ${NOPE}",
    "eval int8 --engine \x1b",
    "quantize run/float.safetensors --calibration generated:classify:train:4 -n 0 -o {out}",
    "quantize run/float.safetensors --calibration generated:classify:train:4 -n -1 -o {out}",
    "quantize run/float.safetensors --calibration generated:classify:train:4 --ranges \x07 -o {out}",
    "convert int8/source.onnx -o {out}.tflite --input-shape x=1x99999999999999999999",
    "convert int8/source.onnx -o {out}.tflite --input-shape x=" + "9" * 5000,
    "convert int8/source.onnx -o {out}.tflite --batch 99999999999999",
    "convert run/float.safetensors -o {out} --head \x1b",
    "verify int8 --latency-budget 1e400s",
    "verify int8 --latency-budget " + "9" * 5000 + "s",
    "verify int8 --size-budget nanMB",
    "verify int8 --engine \x1b",
    "verify int8 --kernels \x1b",
    "inspect int8/model.onnx --batch 99999999999999999999999",
    "bench int8 --engine null --min-seconds inf",
    "verify int8 --accuracy-floor nan",
    "probe --on ssh://\x1b",
    "probe --on " + "a" * 5000,
    "bench int8 --engine null:\x1b",
    "bench int8 --on adb:\x1b",
    "bench int8 --engine null --min-seconds nan",
    "bench int8 --engine null --timeout inf --min-runs -1",
    "bench int8 --engine null --samples x",
    "report records.jsonl -o records.jsonl",
    "compare records.jsonl records.jsonl --min-effect nan",
    "compare records.jsonl records.jsonl --alpha nan",
    "camera int8 --source " + "9" * 400,
    "camera int8 --source 7",
    "camera int8 --source -1",
    "camera int8 --source images --frames 0",
    "camera int8 --source images --threads 99999999999999999999",
    "camera int8 --source generated:classify:val:0",
    "inspect \udcff",
    "bench int8 --engine null -o \udcff.jsonl",
    "nope",
    "--nope",
)


@pytest.mark.parametrize("command", VALUES, ids=lambda command: ascii(command[:60]))
def test_whatever_an_option_says_is_refused_in_one_line(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("{out}", str(place / "out")) for word in command.split(" ")]
    if words[0] in VERBS:
        ends(words, capsys, 1, 2)
    else:
        assert main(words) == 2
    shutil.rmtree(place / "out", ignore_errors=True)
