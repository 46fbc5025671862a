"""onnx2tf's INT8 files have their outputs in any order and without their names: pairs are proved, never counted off.

A detector of three classes and the background has two outputs of one shape. The files are this product's own, with
their outputs changed; a stand-in hands them over in the place of onnx2tf.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from converters.onnx2tf.environment import VARIABLE
from converters.onnx2tf.outputs import in_order, output_places
from edge.artifact.manifest import Artifact, open_artifact
from edge.cli.main import main
from edge.data.open_split import open_split
from edge.engines.engine import open_session
from edge.errors import UnsupportedError
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.predictor import Predictor
from tests.support.detectors import detector_checkpoint

pytestmark = pytest.mark.unhurried

CALIBRATION = "generated:detect:train:4"
FRAME = open_split(split="generated:detect:val:4").image(2)
RESULT = {
    "versions": {"onnx2tf": "1", "tensorflow": "2"},
    "seconds": 1,
    "conversion_seconds": 1,
    "peak_bytes": 1,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detector_checkpoint(tmp_path_factory.mktemp("order") / "float.safetensors")


def changed(tflite: bytes, *, named: bool) -> bytes:
    """The file with its two outputs in the other order, and a signature that names them, or calls them by number."""
    model = schema().ModelT.InitFromPackedBuf(tflite, 0)
    model.metadata = None
    graph = model.subgraphs[0]
    graph.outputs = np.asarray(graph.outputs)[::-1].copy()
    for place, entry in enumerate(model.signatureDefs[0].outputs):
        entry.name = entry.name if named else f"output_{place}"
    return pack(model)


def via(checkpoint: Path, tflite: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Path:
    """`edge convert --via onnx2tf` of a checkpoint, where onnx2tf writes this file."""
    (folder / "made.tflite").write_bytes(tflite)
    (folder / "result.json").write_text(json.dumps(RESULT))
    python = folder / "python"
    name = "model_full_integer_quant.tflite" if options else "model_float32.tflite"
    python.write_text(f"#!/bin/sh\nmkdir out\ncp {folder}/made.tflite out/{name}\ncp {folder}/result.json .\n")
    python.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(python))
    made = folder / "made"
    assert main(["convert", str(checkpoint), "--via", "onnx2tf", *options, "--no-verify", "-o", str(made)]) == 0
    return made


def test_a_float_file_in_another_order_becomes_the_same_detector(
    checkpoint: Path, real: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = via(checkpoint, changed(real.read("model.tflite"), named=False), tmp_path, monkeypatch)
    found = Predictor.load(made, engine="litert").values(FRAME, format="rgb")
    expected = Predictor.load(real, engine="litert").values(FRAME, format="rgb")
    assert len(found) > 3 and np.array_equal(found, expected)


def test_an_int8_file_that_lost_its_names_becomes_the_same_detector(
    checkpoint: Path, int8: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tflite = changed(int8.read("model.tflite"), named=False)
    made = via(checkpoint, tflite, tmp_path, monkeypatch, "--calibration", CALIBRATION, "-n", "4")
    (file,) = (one for one in open_artifact(made).manifest.files if one.path == "model.tflite")
    assert {output.shape for output in file.outputs} == {(1, 204, 4)}
    assert [output.scale for output in file.outputs] == [
        output.scale for output in int8.model_file("model.tflite").outputs
    ]
    found = Predictor.load(made, engine="litert").values(FRAME, format="rgb")
    expected = Predictor.load(int8, engine="litert").values(FRAME, format="rgb")
    assert len(found) > 3 and np.array_equal(found, expected)


def test_names_decide_where_they_are_kept_and_answers_where_not(real: Artifact, tmp_path: Path) -> None:
    tflite = real.read("model.tflite")
    names = list(read_tflite(tflite).outputs)
    random = np.random.default_rng(0)
    codes, logits = (random.normal(size=(2, 204, 4)).astype(np.float32) for _ in range(2))
    ends = [codes, logits]
    assert output_places(tflite, names, ends, ends) == [0, 1]
    kept, lost = (changed(tflite, named=named) for named in (True, False))
    assert output_places(kept, names, ends, [codes, codes]) == [1, 0]
    assert output_places(lost, names, ends, [logits + np.float32(0.1), codes]) == [1, 0]
    assert in_order(tflite, [0, 1]) == tflite
    path = tmp_path / "ordered.tflite"
    path.write_bytes(in_order(kept, [1, 0]))
    assert [port.name for port in open_session("litert", path).outputs] == names


def test_outputs_that_answers_do_not_tell_apart_are_refused(real: Artifact) -> None:
    tflite = changed(real.read("model.tflite"), named=False)
    names, random = ["a", "b"], np.random.default_rng(0)
    one, other = (random.normal(size=(2, 5, 4)).astype(np.float32) for _ in range(2))
    with pytest.raises(UnsupportedError, match="outputs 0 and 1 answer what 'a' answers about as well"):
        output_places(tflite, names, [one, one], [one, one])
    with pytest.raises(UnsupportedError, match="does not tell a, b from each other"):
        output_places(tflite, names, [one, one], [one, other])
    with pytest.raises(UnsupportedError, match=r"outputs are \(5, 3\), \(5, 3\); 'a' should become \(5, 4\)"):
        output_places(tflite, names, [one, other], [one[:, :, :3], one[:, :, :3]])
