"""Post-training quantization on real photographs: MobileNetV2 1.0_224 keeps its accuracy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from converters.onnx.file import onnx_bytes
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.data.image_folder import image_folder
from edge.engines.engine import open_session
from edge.execution.float_run import FloatRun
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import apply_table, normalize, quantize_table, resize
from tests.support.preprocess_text import preprocess_text

CARD = (
    """task = "classify"
"""
    + preprocess_text(224, 224, fit="crop", crop_fraction=0.875)
    + """[labels]
file = "labels.txt"
"""
)


@pytest.mark.data
@pytest.mark.slow
def test_mobilenet_v2_from_100_photographs_keeps_its_answers_on_the_other_400(test_data: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    lines = (test_data / "imagenet_samples" / "dev_labels.txt").read_text().splitlines()
    (tmp_path / "calibration.tsv").write_text("\n".join(lines[::5]) + "\n")
    (tmp_path / "test.tsv").write_text("\n".join(line for k, line in enumerate(lines) if k % 5) + "\n")
    (tmp_path / "labels.txt").write_text("\n".join(f"class {index}" for index in range(1000)) + "\n")
    (tmp_path / "card.toml").write_text(CARD)
    model = build("mobilenet_v2", classes=1000).eval()
    load_pretrained(model, test_data / "models" / "mobilenet_v2_1.0_224.safetensors")
    graph = float_graph(model, torch.zeros(1, 3, 224, 224))
    (tmp_path / "model.onnx").write_bytes(onnx_bytes(graph))
    photographs = test_data / "imagenet_samples" / "dev"
    words = ["--images", str(photographs), "--labels", str(tmp_path / "calibration.tsv")]
    words += ["--card", str(tmp_path / "card.toml"), "-o", str(tmp_path / "int8"), "--no-verify"]
    assert main(["quantize", str(tmp_path / "model.onnx"), "--effort", "fast", *words]) == 0

    artifact = open_artifact(tmp_path / "int8")
    assert artifact.manifest.quantization.calibration_images == 100
    preprocess = artifact.manifest.preprocess
    split = image_folder(photographs, tmp_path / "test.tsv")
    pixels = np.stack([resize(split.image(index), preprocess) for index in range(len(split))])
    run = FloatRun(graph)
    expected = np.concatenate(
        [
            run.run([np.ascontiguousarray(normalize(pixels[k : k + 20], preprocess).transpose(0, 3, 1, 2))])[0]
            for k in range(0, 400, 20)
        ]
    ).argmax(axis=1)
    given = artifact.model_file("model.tflite").inputs[0]
    assert given.scale is not None and given.zero_point is not None
    table = quantize_table(preprocess, given.scale, given.zero_point, "int8")
    session = open_session("litert", artifact.file("model.tflite"), threads=1)
    outputs = np.array([int(session.run([apply_table(image, table)[None]])[0].argmax()) for image in pixels])
    labels = np.array([split.label(index) for index in range(len(split))])
    assert len(labels) == 400
    assert (outputs == labels).mean() >= (expected == labels).mean() - 0.01
    assert (outputs == expected).mean() >= 0.98
