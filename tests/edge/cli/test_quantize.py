"""`edge quantize` from the command line, on a foreign ONNX file with its card."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from converters.onnx.file import onnx_bytes
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
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
        (["--ranges", "mean"], 2, "unknown estimator 'mean'; known: minmax, mse, percentile"),
        (["-n", "0"], 2, "0 is not in the range 1<=x"),
        (["--calibration", "generatd:classify:val:4"], 2, "did you mean 'generated'?"),
        (["--images", "nowhere"], 2, "nowhere: no such folder"),
        (["--head", "full"], 2, "only a segmenter has one"),
    ],
)
def test_a_mistake_is_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert quantize(work, *words) == code
    error = capsys.readouterr().err
    assert message in error and error.startswith("edge quantize: ") and error.count("\n") == 1
    assert not (work / "int8").exists()


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
