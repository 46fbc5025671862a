"""A detector's checkpoint to artifacts, float and INT8: raw heads, the section `detection`, and the same boxes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.convert.convert import convert_source
from converters.convert.options import ConvertOptions
from edge.artifact.manifest import MANIFEST_NAME, Artifact, open_artifact
from edge.data.open_split import open_split
from edge.errors import ArtifactError, UsageError
from edge.evaluation.box_likeness import alike_boxes
from edge.execution.integer import IntegerSimulation
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.ssdlite import SsdLite
from edge.predictor.predictor import Predictor
from edge.predictor.selftest import model_input, run_selftest
from edge.tasks.detect import BoxPrediction
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.evaluate import module_predictions
from edge.vision.anchors import anchor_boxes, anchors_sha256
from edge.vision.detections import Selection, in_frame
from edge.vision.detector import found_boxes
from edge.vision.pixels import resize
from tests.support.detectors import NAMES, detector_checkpoint
from tests.support.pages import ROOT, blocks

pytestmark = pytest.mark.unhurried

PAGE = ROOT / "docs" / "detection.md"
FRAME = open_split(split="generated:detect:val:4").image(2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detector_checkpoint(tmp_path_factory.mktemp("detector") / "float.safetensors")


def test_both_end_in_raw_heads_that_the_manifest_explains(checkpoint: Path, real: Artifact, int8: Artifact) -> None:
    model = restore_module(read_checkpoint(checkpoint))
    assert isinstance(model, SsdLite)
    for artifact in (real, int8):
        manifest = artifact.manifest
        assert (manifest.task, manifest.head, manifest.labels.names) == ("detect", "raw", NAMES)
        told = manifest.detection
        assert told is not None and told.anchors is not None
        assert told.detector.anchors == model.anchors
        assert told.anchors.sha256 == anchors_sha256(anchor_boxes(model.anchors))
        assert (told.background, told.class_aware) == (0, True)
        for file in manifest.files:
            assert [output.meaning for output in file.outputs] == ["box_codes", "logits"]
            assert [output.layout for output in file.outputs] == ["nac", "nac"]
            assert [output.scores for output in file.outputs] == [None, "independent"]


def test_the_int8_file_moves_nothing_and_answers_as_the_simulation(int8: Artifact) -> None:
    graph = read_tflite(int8.read("model.tflite"))
    assert "Transpose" not in {operator.kind for operator in graph.operators}
    assert {graph.tensors[name].dtype for name in graph.outputs} == {"int8"}
    predictor = Predictor.load(int8, engine="litert", selftest=False)
    result = run_selftest(int8, "model.tflite", predictor._session)
    assert result.largest == 0 and int8.manifest.selftest.allowed["model.tflite"]["litert/xnnpack/x86_64"] == 0


def test_a_predictor_finds_the_boxes_of_the_simulation(int8: Artifact) -> None:
    source = int8.model_file("source.onnx")
    pixels = resize(FRAME, int8.manifest.preprocess)
    outputs = IntegerSimulation(read_onnx(int8.read("source.onnx"))).run(
        [model_input(pixels[None], source, int8.manifest.preprocess)]
    )
    assert int8.manifest.detection is not None
    ports = tuple(output.described for output in source.outputs)
    found = found_boxes(outputs, ports, int8.manifest.detection.detector, Selection())
    expected = in_frame(found, (FRAME.shape[0], FRAME.shape[1]), int8.manifest.preprocess)
    prediction = Predictor.load(int8, engine="litert")(FRAME, format="rgb")
    assert isinstance(prediction, BoxPrediction) and len(expected.scores) > 3
    assert np.array_equal(prediction.boxes.boxes, expected.boxes)
    assert np.array_equal(prediction.boxes.scores, expected.scores)
    assert np.array_equal(prediction.boxes.labels, expected.labels)


def test_the_page_decodes_it_without_our_code(int8: Artifact) -> None:
    """The block of docs/detection.md: numpy and the manifest, up to the order of equal scores."""
    (code,) = (block for block in blocks(PAGE) if block.language == "python" and "boxes_of" in block.text)
    there: dict[str, Any] = {}
    exec(code.text, there)
    predictor = Predictor.load(int8, engine="litert", selftest=False)
    file = int8.model_file("model.tflite")
    pixels = resize(FRAME, int8.manifest.preprocess)
    codes, logits = predictor._session.run([model_input(pixels[None], file, int8.manifest.preprocess)])
    boxes, scores, labels = there["boxes_of"](int8.folder, codes, logits)
    assert int8.manifest.detection is not None
    ports = tuple(output.described for output in file.outputs)
    expected = found_boxes([codes, logits], ports, int8.manifest.detection.detector, Selection())
    assert len(boxes) == len(expected.boxes) > 3
    assert np.allclose(np.sort(scores), np.sort(expected.scores), atol=1e-6)
    assert alike_boxes(
        table(boxes, scores, labels), table(expected.boxes, expected.scores, expected.labels), 0.999
    ) == (
        len(boxes),
        len(boxes),
    )


def table(boxes: Any, scores: Any, labels: Any) -> Any:
    return np.concatenate([boxes, scores[:, None], labels[:, None]], axis=1)


def test_threshold_and_number_are_arguments(int8: Artifact) -> None:
    every = Predictor.load(int8, engine="litert")(FRAME)
    assert isinstance(every, BoxPrediction)
    middle = float(np.median(every.boxes.scores))
    few = Predictor.load(int8, engine="litert", threshold=middle)(FRAME)
    assert isinstance(few, BoxPrediction)
    assert 0 < len(few.boxes.scores) < len(every.boxes.scores) and few.boxes.scores.min() >= np.float32(middle)
    top = Predictor.load(int8, engine="litert", top=2)(FRAME)
    assert isinstance(top, BoxPrediction) and np.array_equal(top.boxes.boxes, every.boxes.boxes[:2])
    with pytest.raises(UsageError, match=r"threshold 1\.5"):
        Predictor.load(int8, engine="litert", threshold=1.5)


def test_the_float_artifact_answers_as_the_network(checkpoint: Path, real: Artifact) -> None:
    opened = read_checkpoint(checkpoint)
    predict = module_predictions(restore_module(opened), opened.recipe.preprocess, "detect")
    (expected,) = predict([FRAME])
    found = Predictor.load(real, engine="litert").values(FRAME, format="rgb")
    best, others = expected[expected[:, 4] > 0.35], found[found[:, 4] > 0.35]
    assert len(best) > 3 and best.shape == others.shape
    apart = np.abs(best[:, None] - others[None]).max(axis=2)  # of any two: nearly equal scores may change places
    assert apart.min(axis=0).max() < 0.05 and apart.min(axis=1).max() < 0.05


def test_another_head_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="unknown head 'full'"):
        convert_source(checkpoint, checkpoint.with_name("other"), ConvertOptions(head="full"))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("background", None, r"classes make \(1, 204, 3\)"),
        ("threshold", 0, "threshold"),
        ("form", "postprocess", "ends in boxes, classes, scores, count"),
    ],
)
def test_a_manifest_that_contradicts_the_file_is_refused(
    int8: Artifact, tmp_path: Path, key: str, value: object, problem: str
) -> None:
    for file in int8.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    told = json.loads((tmp_path / MANIFEST_NAME).read_text())
    told["detection"][key] = value
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match=problem):
        open_artifact(tmp_path)


def test_a_scale_that_contradicts_the_file_is_refused(int8: Artifact, tmp_path: Path) -> None:
    for file in int8.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    told = json.loads((tmp_path / MANIFEST_NAME).read_text())
    told["files"][0]["outputs"][1]["scale"] *= 2
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match="scale"):
        Predictor.load(tmp_path, engine="litert")
