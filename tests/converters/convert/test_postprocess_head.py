"""`--head postprocess`: a file that selects its boxes itself, by both roads, held to its raw heads."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.artifact.manifest import Artifact, manifest_json, open_artifact, parse_manifest
from edge.artifact.model_file import Labels
from edge.cli.main import main
from edge.data.scene import scene
from edge.engines.litert import open_litert
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.predictor import Predictor
from edge.predictor.selftest import model_input
from edge.recipe.recipe import Recipe
from edge.tasks.detect import BoxPrediction
from edge.training.checkpoint import Checkpoint, write_checkpoint
from edge.vision.four_outputs import FOUR_OUTPUTS, FourOutputs, share_apart
from edge.vision.pixels import resize
from tests.support.detector_artifact import CLASSES, detector_artifact, detector_preprocess, random_detector

pytestmark = pytest.mark.unhurried

SIDE = 96
RECIPE = {
    "name": "small",
    "model": {"name": "mobilenet_v2_ssdlite", "classes": len(CLASSES), "width": 0.25, "resolution": SIDE},
    "data": {"train": "generated:detect:train:8"},
    "preprocess": detector_preprocess(SIDE).model_dump(),
    "train": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "float.safetensors"
    tensors = random_detector(SIDE).state_dict()
    recipe, labels = Recipe.model_validate(RECIPE), Labels(names=CLASSES)
    write_checkpoint(path, Checkpoint(kind="float", recipe=recipe, tensors=tensors, labels=labels, metrics={}))
    return path


@pytest.fixture(scope="module")
def quantized(checkpoint: Path) -> Artifact:
    folder = checkpoint.parent / "quantized"
    calibration = ("--calibration", "generated:detect:train:8")
    assert main(["quantize", str(checkpoint), *calibration, "--head", "postprocess", "-o", str(folder)]) == 0
    return open_artifact(folder)


def test_the_quantized_file_takes_pixels_and_ends_in_four_outputs(quantized: Artifact) -> None:
    """The ONNX files keep the raw heads: ONNX has no such operator."""
    manifest = quantized.manifest
    meanings = {file.path: tuple(output.meaning for output in file.outputs) for file in manifest.files}
    raw = ("box_codes", "logits")
    assert meanings == {"model.tflite": FOUR_OUTPUTS, "model.onnx": raw, "source.onnx": raw}
    assert manifest.head == "postprocess" and manifest.detection is not None and manifest.detection.form == "ssd"
    graph = read_tflite(quantized.file("model.tflite"))
    (given,) = [graph.tensors[name] for name in graph.inputs]
    assert (given.dtype, given.shape) == ("uint8", (1, SIDE, SIDE, 3))
    assert graph.operators[-1].kind == "TFLite_Detection_PostProcess"
    most = manifest.detection.most
    assert [output.shape for output in quantized.model_file("model.tflite").outputs] == [
        (1, most, 4),
        (1, most),
        (1, most),
        (1,),
    ]
    assert parse_manifest(manifest_json(manifest).encode(), "manifest.json") == manifest


@pytest.mark.parametrize("int8", [True, False])
def test_of_two_classes_the_predictor_finds_the_same_boxes_by_the_file_as_by_the_raw_heads(
    int8: bool, tmp_path: Path
) -> None:
    """In pixels of the frame; scores of the integer file are rounded to 1/256. More classes: the fast mode's boxes."""
    artifact = detector_artifact(tmp_path / "two", int8=int8, classes=CLASSES[:2])
    by_file, by_heads = (Predictor.load(artifact, engine=engine) for engine in ("litert", "onnxruntime"))
    total = 0
    for index in range(4):
        frame = scene(index, (120, 160))[0]
        ours, theirs = (predict(frame, format="rgb") for predict in (by_file, by_heads))
        assert isinstance(ours, BoxPrediction) and isinstance(theirs, BoxPrediction)
        tables = []
        for found in (ours.boxes, theirs.boxes):
            sure = found.scores > 0.31  # rounding moves scores across the threshold of 0.3
            rows = np.column_stack([found.labels, found.boxes, found.scores])[sure]
            tables.append(rows[np.lexsort(rows[:, :5].round(1).T)])
        assert tables[0].shape == tables[1].shape
        np.testing.assert_array_equal(tables[0][:, 0], tables[1][:, 0])
        np.testing.assert_allclose(tables[0][:, 1:5], tables[1][:, 1:5], atol=0.05)
        np.testing.assert_allclose(tables[0][:, 5], tables[1][:, 5], atol=1 / 256)
        total += len(tables[0])
    assert total > 15


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_class_is_lost_on_several_threads(quantized: Artifact, threads: int) -> None:
    """What the regular mode of the runtimes does where there are more classes than threads."""
    file = quantized.model_file("model.tflite")
    frame = resize(scene(0, (120, 160))[0], quantized.manifest.preprocess)
    raw = [model_input(frame[None], file, quantized.manifest.preprocess)]
    one, several = (
        FourOutputs.of(open_litert(quantized.file("model.tflite"), threads=count).run(raw)) for count in (1, threads)
    )
    assert share_apart(one, several) == 0.0 and len(set(one.detections.labels.tolist())) > 2


def test_a_threshold_below_the_manifests_shows_what_the_operator_let_through(quantized: Artifact) -> None:
    frame = scene(0, (120, 160))[0]
    counts = []
    for threshold in (0.05, None, 0.8):
        found = Predictor.load(quantized, engine="litert", threshold=threshold, selftest=False)(frame, format="rgb")
        assert isinstance(found, BoxPrediction)
        counts.append(len(found.boxes.scores))
    assert counts[0] > counts[1] > counts[2]


def test_verify_holds_the_files_boxes_to_the_simulation_behind_numpys_operator(
    quantized: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantized.manifest.selftest.allowed["model.tflite"]["litert/xnnpack/x86_64"] == 0.0
    assert main(["verify", str(quantized.folder), "--no-rank", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (found,) = [
        row for row in rows if row.get("check") == "end to end" and str(row.get("subject")).startswith("model.tflite")
    ]
    assert found["passed"] is True and found["largest_share"] <= 1e-6


def test_a_file_that_selects_otherwise_than_the_manifest_says_is_not_shipped(
    quantized: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(quantized.folder, folder)
    detection = quantized.manifest.detection
    assert detection is not None
    other = quantized.manifest.model_copy(update={"detection": detection.model_copy(update={"overlap": 0.2})})
    (folder / "manifest.json").write_text(manifest_json(other))
    assert main(["verify", str(folder), "--no-rank"]) == 1
    assert "are not those of the" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_what_a_device_is_left_with_still_proves_itself(quantized: Artifact, tmp_path: Path) -> None:
    """Without the ONNX files: the self-test holds, and in `edge verify` the file is its own reference."""
    folder = tmp_path / "stripped"
    shutil.copytree(quantized.folder, folder)
    manifest = quantized.manifest.model_copy(update={"files": quantized.manifest.files[:1]})
    for name in ("model.onnx", "source.onnx"):
        (folder / name).unlink()
    (folder / "manifest.json").write_text(manifest_json(manifest))
    found = Predictor.load(open_artifact(folder), engine="litert")(scene(0, (120, 160))[0], format="rgb")
    assert isinstance(found, BoxPrediction) and len(found.boxes.scores) > 5
    assert main(["verify", str(folder), "--no-rank"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--head", "postprocess", "--keep-nchw-io"), "--head postprocess is for task libraries, which feed NHWC"),
        (("--head", "full"), "unknown head 'full'"),
    ],
)
def test_what_does_not_hold_together_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert main(["convert", str(checkpoint), *options, "-o", str(tmp_path / "a")]) in (1, 2)
    assert message in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_raw_heads_are_what_a_detector_ends_in_unless_asked(tmp_path: Path) -> None:
    artifact = detector_artifact(tmp_path / "raw", head="raw")
    assert {tuple(output.meaning for output in file.outputs) for file in artifact.manifest.files} == {
        ("box_codes", "logits")
    }


def test_a_float_checkpoint_is_converted_and_verified(checkpoint: Path, tmp_path: Path) -> None:
    assert main(["convert", str(checkpoint), "--head", "postprocess", "-o", str(tmp_path / "float")]) == 0
    assert len(open_artifact(tmp_path / "float").model_file("model.tflite").outputs) == len(FOUR_OUTPUTS)
