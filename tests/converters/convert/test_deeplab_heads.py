"""Every head of a trained DeepLab by `edge convert`: the files give the integers that were trained, 0 values differ."""

import math
from pathlib import Path

import numpy as np
import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from tests.support.preprocess_text import preprocess_text

pytestmark = pytest.mark.unhurried  # a network is trained, and converted with every head

RECIPE = (
    """
name = "deeplab"
[model]
name = "deeplab_mobilenet_v2"
classes = 8
width = 0.25
resolution_hw = [64, 96]
[data]
train = "generated:segment:train:16"
"""
    + preprocess_text(64, 96)
    + """[train]
epochs = 12
batch_size = 4
optimizer = "adamw"
learning_rate = 0.003
class_weights = "sqrt_frequency"
loss_stride = 4
eval_epochs = 12
[qat]
epochs = 1
batch_size = 4
learning_rate = 0.001
"""
)
IMAGES = 3
"""Of the self-test."""
SHAPES = {
    "logits": (1, 4, 6, 8),
    "full_logits": (1, 64, 96, 8),
    "class_map": (1, 4, 6),
    "full": (1, 64, 96),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of DeepLab trained with quantization in the loop, by a few steps."""
    folder = tmp_path_factory.mktemp("deeplab")
    (folder / "recipe.toml").write_text(RECIPE)
    assert main(["train", str(folder / "recipe.toml"), "-o", str(folder / "run"), "--threads", "1"]) == 0
    return folder / "run" / "qat.safetensors"


@pytest.mark.parametrize("head", SHAPES)
def test_no_value_of_a_head_differs(
    trained: Path, head: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(trained), "-o", str(tmp_path / "out"), "--head", head]) == 0  # it is verified: ship
    values = IMAGES * math.prod(SHAPES[head])
    ends = [line for line in capfd.readouterr().err.splitlines() if " end to end: " in line]
    assert len(ends) == 2  # model.tflite and model.onnx
    assert all(f"): 0 of {values} values differ from the integer simulation" in line for line in ends)
    manifest = open_artifact(tmp_path / "out").manifest
    output = next(file for file in manifest.files if file.format == "tflite").outputs[0]
    assert (manifest.head, output.shape) == (head, SHAPES[head])
    assert output.stride == (16 if head in ("logits", "class_map") else 1)
    with np.load(tmp_path / "out" / "selftest.npz") as archive:
        classes = archive["output_model.tflite_0"]
    if classes.ndim == 4:
        classes = classes.argmax(axis=3)
    assert len(np.unique(classes)) > 1  # not one class everywhere
