"""`edge quantize` under budgets: activations get 16 bits, the file stays exact, the manifest says what was chosen."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from converters.onnx.file import onnx_bytes
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.preprocess_text import preprocess_text
from tests.support.unequal_network import LAYER, unequal_graph

pytestmark = pytest.mark.unhurried  # networks are quantized, measured and verified

Run = Callable[..., int]
CARD = f"""task = "classify"
{preprocess_text(24, 24)}[labels]
names = ["one", "two", "three", "four", "five"]
"""


@pytest.fixture
def quantize(tmp_path: Path) -> Run:
    torch.set_num_threads(1)
    (tmp_path / "model.onnx").write_bytes(onnx_bytes(unequal_graph()))
    (tmp_path / "card.toml").write_text(CARD)

    def run(*words: str) -> int:
        return main(
            ["quantize", str(tmp_path / "model.onnx"), "--card", str(tmp_path / "card.toml"), "--effort", "plain",
             "--calibration", "generated:classify:train", "-n", "20", "-o", str(tmp_path / "mixed"), *words]
        )  # fmt: skip

    return run


def dtypes(folder: Path) -> set[str]:
    return {tensor.dtype for tensor in read_tflite((folder / "model.tflite").read_bytes()).tensors.values()}


def test_the_file_is_exact_and_the_manifest_says_what_has_16_bits(
    quantize: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize("--size-budget", "1MB", "--latency-budget", "10s") == 0
    printed, told = capsys.readouterr()
    assert LAYER in printed
    assert told.splitlines()[-1].startswith("ship")
    judged = [line for line in told.splitlines() if line.startswith("passed end to end: model.tflite")]
    assert len(judged) == 1
    assert " 0 of " in judged[0]
    assert "int16" in dtypes(tmp_path / "mixed")
    manifest = open_artifact(tmp_path / "mixed").manifest
    steps = manifest.quantization.steps
    assert manifest.precision == "int8"
    assert steps is not None
    assert steps.mixed is not None
    first = steps.mixed.layers[0]
    assert (first.layer, first.kept, first.form) == (LAYER, True, "int16")
    assert first.latency_ns is not None
    assert (steps.total.sqnr_db or 0) > (steps.mixed.before.sqnr_db or 0) + 10
    kept = [layer for layer in steps.mixed.layers if layer.kept]
    assert kept[-1].score == steps.total
    assert kept[-1].size_bytes == (tmp_path / "mixed" / "model.tflite").stat().st_size


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--size-budget", "1kB"), 1, "over the size budget of 1 kB"),
        (("--latency-budget", "1ns"), 1, "over the latency budget of 1 ns"),
        (("--size-budget", "1"), 2, "has no unit"),
        (("--size-budget", "1MB", "--activations", "int16"), 2, "--activations int16 gives all"),
        (("--size-budget", "1MB", "-n", "5"), 2, "steps need at least 10"),
    ],
)
def test_what_cannot_hold_is_said(
    quantize: Run, tmp_path: Path, words: tuple[str, ...], code: int, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert quantize("--no-verify", *words) == code
    assert said in capsys.readouterr().err
    assert code == 2 or dtypes(tmp_path / "mixed") == {"int8", "int32"}


def test_without_a_budget_nothing_gets_16_bits(
    quantize: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize("--no-verify", "--agreement-floor", "0.0", "--json") == 0
    json.loads(capsys.readouterr().out)
    steps = open_artifact(tmp_path / "mixed").manifest.quantization.steps
    assert steps is not None
    assert steps.mixed is None
    assert "int16" not in dtypes(tmp_path / "mixed")
