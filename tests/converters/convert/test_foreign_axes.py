"""Foreign files whose images are channels last, or whose sizes are open, become artifacts that verify."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.data.open_split import open_split

CONSTANTS = {
    "w": np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32),
    "m": np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32),
}
TAIL = "r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = Gemm<transB=1>(f, m)"
SOURCES = {
    "channels last": ("float[1,32,32,3] x", "t = Transpose<perm=[0,3,1,2]>(x) c = Conv(t, w)", []),
    "open sizes": ("float[N,3,H,W] x", "c = Conv(x, w)", ["--input-shape", "x=1x3x32x32"]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_artifact_verifies_against_the_file(
    name: str, tmp_path: Path, tiny_card: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given, head, options = SOURCES[name]
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> net ({given}) => (float[1,8] y) {{ {head} {TAIL} }}'
    )
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in CONSTANTS.items())
    source = tmp_path / "model.onnx"
    source.write_bytes(proto.SerializeToString())
    (tmp_path / "card.toml").write_text(tiny_card)
    folder = tmp_path / "artifact"
    command = ["convert", str(source), "--card", str(tmp_path / "card.toml"), "-o", str(folder)]
    assert main([*command, *options]) == 0, capsys.readouterr().err
    artifact = open_artifact(folder)
    assert artifact.model_file("model.tflite").inputs[0].shape == (1, 32, 32, 3)
    assert artifact.model_file("model.onnx").inputs[0].layout == "nchw"
    capsys.readouterr()
    # without labels: its weights are random, and what knows nothing does not ship
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(4):
        cv2.imwrite(str(pictures / f"{index}.png"), open_split(split="generated:classify:val:4").image(index))
    assert main(["verify", str(folder), "--images", str(pictures)]) == 0
    said = capsys.readouterr().out
    assert "float parent:" in said and "100.00% of" in said
