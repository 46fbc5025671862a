"""`edge quantize` from the command line, on a foreign ONNX file with its card."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from converters.onnx.file import onnx_bytes
from converters.passes.canonical import canonical
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.cli.quantize_steps import StepBars
from edge.data.generated import generated_split
from edge.execution.float_run import FloatRun
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.steps import EFFORTS, STEPS
from edge.quantization.qat.freeze import float_graph
from tests.support.preprocess_text import preprocess_text

pytestmark = pytest.mark.unhurried  # networks are quantized and verified

CARD = (
    """task = "classify"
"""
    + preprocess_text(16, 16)
    + """[labels]
names = ["dark", "bright", "grey"]
"""
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with model.onnx, card.toml, images/ and qdq.onnx, a quantized file."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    (tmp_path / "model.onnx").write_bytes(onnx_bytes(float_graph(model.eval(), torch.zeros(1, 3, 16, 16))))
    (tmp_path / "card.toml").write_text(CARD)
    (tmp_path / "images").mkdir()
    for index in range(6):
        image = np.random.default_rng(index).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{index}.png"), image)
    return tmp_path


def quantize(work: Path, *words: str, source: str = "model.onnx") -> int:
    images = [] if "--images" in words or "--calibration" in words else ["--images", str(work / "images")]
    card = ["--card", str(work / "card.toml")]
    return main(["quantize", str(work / source), "-o", str(work / "int8"), *card, *images, *words])


def test_the_artifact_says_how_it_was_calibrated(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work, "-n", "4", "--ranges", "percentile", "--no-verify", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["precision"] == "int8"
    manifest = open_artifact(work / "int8").manifest
    facts = manifest.quantization
    assert (facts.method, facts.calibration_images, facts.ranges) == ("ptq", 4, "percentile")
    assert facts.calibration_sha256 is not None
    assert {file.inputs[0].dtype for file in manifest.files} == {"int8", "uint8"}


def test_it_verifies_what_it_wrote(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("ship")


def test_the_same_images_give_the_same_file(work: Path) -> None:
    files = []
    for _ in range(2):
        assert quantize(work, "--no-verify") == 0
        files.append((work / "int8" / "model.tflite").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--ranges", "mean"], 2, "unknown estimator 'mean'; known: entropy, minmax, mse, octav, percentile"),
        (["-n", "0"], 2, "0 is not in the range 1<=x"),
        (["--calibration", "generatd:classify:val:4"], 2, "did you mean 'generated'?"),
        (["--images", "nowhere"], 2, "nowhere: no such folder"),
        (["--head", "full"], 2, "only a segmenter has one"),
        (["--effort", "defualt"], 2, "unknown effort 'defualt'; did you mean 'default'?"),
        (["--steps", "bias,rounding"], 2, "unknown step 'rounding'"),
        (["--calibration", "."], 2, "--calibration .: a folder is no split; --images takes a folder of images"),
        (["--steps", "bias"], 2, "6 calibration images: steps need at least 10, to judge by a fifth"),
    ],
)
def test_a_mistake_is_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert quantize(work, *words) == code
    error = capsys.readouterr().err
    assert message in error and error.startswith("edge quantize: ") and error.count("\n") == 1
    assert not (work / "int8").exists()


SPLIT = ("--calibration", "generated:classify:train:20")


def test_steps_are_taken_and_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work, *SPLIT, "--steps", "bias,least_squares") == 0
    printed = capsys.readouterr().out
    assert "4 held-out calibration images" in printed and "8-bit activations alone" in printed
    steps = open_artifact(work / "int8").manifest.quantization.steps
    assert steps is not None and steps.judged_images == 4
    assert [entry.step for entry in steps.steps] == ["bias", "least_squares"]
    assert steps.total.sqnr_db is not None and steps.plain.sqnr_db is not None
    assert steps.total.sqnr_db >= steps.plain.sqnr_db


KILLED = """
import os, signal, sys
import torch
from converters.convert.unfinished import Unfinished
from edge.cli.main import main
from edge.cli.quantize_steps import StepBars
keep = Unfinished.keep
def killed(self, reached):
    keep(self, reached)
    os.kill(os.getpid(), signal.SIGKILL)
Unfinished.keep = killed
torch.set_num_threads(1)
main(sys.argv[1:])
"""


def test_a_killed_run_is_resumed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed after its first step, refused with another seed, and then finished: the file of a run in one go."""
    words = [*SPLIT, "--steps", "bias,least_squares", "--no-verify"]
    assert quantize(work, *words) == 0
    wanted = [(work / "int8" / name).read_bytes() for name in ("model.tflite", "model.onnx")]
    facts = open_artifact(work / "int8").manifest.quantization.steps
    shutil.rmtree(work / "int8")
    given = ["quantize", str(work / "model.onnx"), "-o", str(work / "int8"), "--card", str(work / "card.toml"), *words]
    assert subprocess.run([sys.executable, "-c", KILLED, *given], check=False).returncode == -signal.SIGKILL
    assert (work / "int8.unfinished").is_file() and not (work / "int8").exists()
    capsys.readouterr()
    assert quantize(work, *words, "--resume", "--seed", "1") == 1
    error = capsys.readouterr().err
    assert "int8.unfinished: is of another model, other images, options, threads or code" in error
    assert error.count("\n") == 1 and (work / "int8.unfinished").is_file()
    assert quantize(work, *words, "--resume") == 0
    assert [(work / "int8" / name).read_bytes() for name in ("model.tflite", "model.onnx")] == wanted
    assert open_artifact(work / "int8").manifest.quantization.steps == facts
    assert not (work / "int8.unfinished").exists()
    assert quantize(work, *words, "--resume") == 1
    assert "nothing to resume" in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_go_on(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(bars: StepBars, step: str, done: int, of: int) -> None:
        if step == "least_squares":
            raise KeyboardInterrupt

    monkeypatch.setattr(StepBars, "advance_step", interrupt)
    assert quantize(work, *SPLIT, "--steps", "bias,least_squares", "--no-verify") == 130
    assert capsys.readouterr().err == "edge quantize: interrupted; the same command with --resume goes on\n"


def test_what_lies_where_steps_are_kept_is_never_lost(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "int8.unfinished").write_text("a novel")
    for words in (["--no-verify"], [*SPLIT, "--steps", "bias", "--no-verify"]):
        assert quantize(work, *words) == 2
        assert "int8.unfinished: lies where the steps of this run are kept" in capsys.readouterr().err
    assert (work / "int8.unfinished").read_text() == "a novel" and not (work / "int8").exists()


def test_what_all_steps_make_is_exact(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work, *SPLIT, "--steps", ",".join(STEPS)) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("ship")
    steps = open_artifact(work / "int8").manifest.quantization.steps
    assert steps is not None and [entry.step for entry in steps.steps] == list(STEPS)


def test_weights_have_one_scale_each_where_that_is_asked_for(work: Path) -> None:
    assert quantize(work, "--weight-scales", "tensor", "--no-verify") == 0
    artifact = open_artifact(work / "int8")
    assert artifact.manifest.quantization.scheme is not None
    assert artifact.manifest.quantization.scheme["weight_granularity"] == "per_tensor"
    graph = read_tflite((work / "int8" / "model.tflite").read_bytes())
    constants = [tensor for tensor in graph.tensors.values() if tensor.data is not None and tensor.quantization]
    assert constants and all(tensor.quantization.axis is None for tensor in constants if tensor.quantization)


def test_json_has_the_steps(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work, *SPLIT, "--effort", "fast", "--no-verify", "--json") == 0
    told = json.loads(capsys.readouterr().out)["steps"]
    assert [entry["step"] for entry in told["steps"]] == list(EFFORTS["fast"].steps)
    assert {"plain", "total", "activations", "seed"} <= told.keys()


def test_few_images_are_rounded_to_the_nearest(work: Path) -> None:
    files = []
    for words in ((), ("--effort", "plain")):
        assert quantize(work, *words, "--no-verify") == 0
        files.append((work / "int8" / "model.tflite").read_bytes())
        assert open_artifact(work / "int8").manifest.quantization.steps is None
    assert files[0] == files[1]


def test_a_floor_that_is_not_held_is_told(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*SPLIT, "--steps", "bias", "--no-verify", "--agreement-floor")
    assert quantize(work, *words, "0") == 0
    assert quantize(work, *words, "1") in (0, 1)
    facts = open_artifact(work / "int8").manifest.quantization.steps
    assert facts is not None and facts.total.agreement is not None
    told = "agreement floor 100.0% not held on 4 held-out images" in capsys.readouterr().err
    assert told == (facts.total.agreement < 1)


@pytest.fixture
def labelled(work: Path) -> tuple[str, ...]:
    """Options of 20 images with labels: the float network's decisions, but of the last one held out another."""
    run = FloatRun(prepared(canonical(read_onnx(work / "model.onnx"))))
    split = generated_split("classify", "train", 20, shape_hw=(16, 16))
    lines = []
    (work / "twenty").mkdir()
    for index in range(len(split)):
        image = split.image(index)
        cv2.imwrite(str(work / "twenty" / f"{index:02d}.png"), np.ascontiguousarray(image[..., ::-1]))
        decided = int(run.run([(image / np.float32(127.5) - np.float32(1)).transpose(2, 0, 1)[None]])[0].argmax())
        name = ("dark", "bright", "grey")[(decided + (index == 15)) % 3]
        lines.append(f"{index:02d}.png\t{name}\n")
    (work / "labels.tsv").write_text("".join(lines))
    return ("--images", str(work / "twenty"), "--labels", str(work / "labels.tsv"))


def test_an_accuracy_floor_is_counted_on_labels(
    work: Path, labelled: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*labelled, "--steps", "bias", "--no-verify", "--accuracy-floor")
    assert quantize(work, *words, "0") == 0
    facts = open_artifact(work / "int8").manifest.quantization.steps
    assert facts is not None and facts.accuracy is not None
    assert (facts.accuracy.of_float, facts.accuracy.images) == (0.75, 4)  # of 0, 5, 10 and 15 the last is wrong
    capsys.readouterr()
    assert quantize(work, *words, "1") == 1
    facts = open_artifact(work / "int8").manifest.quantization.steps
    assert facts is not None and facts.accuracy is not None
    assert "accuracy floor 100.0% not held on 4 labelled images: " in (told := capsys.readouterr().err)
    assert f"{facts.accuracy.accuracy:.1%} of decisions are true, 75.0% of the float network's" in told
    assert {"distil", "bias"} <= {entry.step for entry in facts.steps}  # it went on


def test_a_floor_is_held_without_steps_too(work: Path, labelled: tuple[str, ...]) -> None:
    assert quantize(work, *labelled, "--effort", "plain", "--no-verify", "--accuracy-floor", "0.1") == 0
    facts = open_artifact(work / "int8").manifest.quantization.steps
    assert facts is not None and facts.accuracy is not None and facts.steps == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--images", "twenty", "--accuracy-floor", "0.5"), "needs a class per image, and"),
        (("--images", "twenty", "--validation", "generated:classify:val"), "give that too"),
        ((*SPLIT, "--accuracy-floor", "0.5"), "has 3 classes, generated:classify:train has"),
    ],
)
def test_a_floor_without_its_labels_is_a_mistake(
    work: Path, labelled: tuple[str, ...], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    given = [str(work / word) if word == "twenty" else word for word in words]
    assert quantize(work, *given, "--no-verify") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_no_calibration_images_is_a_mistake(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(work / "model.onnx"), "-o", str(work / "int8")]) == 2
    assert "give --calibration SPLIT or --images FOLDER" in capsys.readouterr().err


def test_a_broken_image_leaves_the_old_artifact(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work, "--no-verify") == 0
    before = (work / "int8" / "manifest.json").read_bytes()
    (work / "images" / "3.png").write_bytes(b"not a picture")
    assert quantize(work, "--no-verify") == 1
    assert "3.png" in capsys.readouterr().err
    assert (work / "int8" / "manifest.json").read_bytes() == before


def test_a_quantized_source_is_sent_to_convert(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(work, "--no-verify") == 0
    (work / "qdq.onnx").write_bytes((work / "int8" / "source.onnx").read_bytes())
    assert quantize(work, "--no-verify", source="qdq.onnx") == 2
    assert "is quantized already; turn it into an artifact with `edge convert`" in capsys.readouterr().err
