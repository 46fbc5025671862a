"""mediapipe's Python tasks load our files and give the Predictor's answers.

mediapipe runs in an environment of its own (`make peers`); it sees model files and images.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from converters.convert.build import build_artifact
from converters.convert.heads import append_head
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo, open_artifact
from edge.artifact.model_file import Labels
from edge.artifact.scheme import input_range
from edge.cli.main import main
from edge.data.object_image import object_image
from edge.data.scene import scene
from edge.graph.importers.tflite import metadata_schema
from edge.models.registry import build
from edge.predictor.predictor import Predictor
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.capture import float_graph
from edge.tasks.classify import ClassPrediction
from edge.tasks.segment import SegmentPrediction
from edge.vision.pixels import normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess
from tests.support.metadata_schema import published

CLASSES = ("sky", "building", "road", "tree", "person")
PREPROCESS = Preprocess(
    colour_order="rgb",
    height=64,
    width=96,
    interpolation="bilinear",
    fit="stretch",
    crop_fraction=1.0,
    mean=(123.7, 116.3, 103.5),
    std=(58.4, 57.1, 57.4),
)

AGENT = """
import json, sys, zipfile
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as model_schema

kind, model, images, answers = sys.argv[1:]
frames = np.load(images)
base = BaseOptions(model_asset_path=model)
as_image = lambda frame: mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
if kind == "classify":
    with vision.ImageClassifier.create_from_options(vision.ImageClassifierOptions(base_options=base)) as task:
        found = [task.classify(as_image(frame)).classifications[0].categories for frame in frames]
    told = {"best": [[(one.index, one.category_name, one.score) for one in each] for each in found]}
else:
    options = vision.ImageSegmenterOptions(base_options=base, output_category_mask=True, output_confidence_masks=True)
    with vision.ImageSegmenter.create_from_options(options) as task:
        results = [task.segment(as_image(frame)) for frame in frames]
        masks = np.stack([result.category_mask.numpy_view().squeeze() for result in results])
        scores = np.stack([np.stack([one.numpy_view().squeeze() for one in result.confidence_masks], -1)
                           for result in results])
        np.savez(answers, masks=masks, scores=scores)
        told = {"labels": list(task.labels)}
data = open(model, "rb").read()
root = model_schema.Model.GetRootAs(data, 0)
(entry,) = [root.Metadata(index) for index in range(root.MetadataLength())]
assert entry.Name() == b"TFLITE_METADATA"
number = entry.Buffer()
described = metadata_schema.ModelMetadataT.InitFromPackedBuf(root.Buffers(number).DataAsNumpy().tobytes(), 0)
options = described.subgraphMetadata[0].inputTensorMetadata[0].processUnits[0].options
told["mean"], told["std"] = [float(x) for x in options.mean], [float(x) for x in options.std]
told["files"] = zipfile.ZipFile(model).namelist()
print(json.dumps(told))
"""


def ask(python: str, kind: str, artifact: Artifact, frames: Sequence[np.ndarray], folder: Path) -> dict[str, Any]:
    """What mediapipe answers to the resized frames; a segmenter's maps land in answers.npz."""
    np.save(folder / "frames.npy", np.stack([resize(frame, artifact.manifest.preprocess) for frame in frames]))
    command = [python, "-c", AGENT, kind, str(artifact.file("model.tflite")), "frames.npy", "answers.npz"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_metadata_schema_is_the_published_one(mediapipe_python: str) -> None:
    """Every table, union and number; tests/support/metadata_schema.py prints it anew where they differ."""
    where = "import importlib.util; print(*importlib.util.find_spec('mediapipe').submodule_search_locations)"
    package = subprocess.run(
        [mediapipe_python, "-c", where], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    schema = published(Path(package.strip()) / "tasks" / "metadata")
    assert list(schema.tables.items()) == list(metadata_schema.TABLES.items())
    assert schema.unions == metadata_schema.UNIONS
    assert schema.enumerations == metadata_schema.ENUMERATIONS
    assert schema.alignments == metadata_schema.ALIGNMENTS
    assert {name.encode() for name in schema.identifiers.values()} == {
        metadata_schema.MODEL_IDENTIFIER,
        metadata_schema.SEGMENTER_IDENTIFIER,
    }


@pytest.mark.parametrize("name", ["uint8", "float"])
def test_the_classifier_gives_the_predictors_classes(
    mediapipe_python: str, road: Path, tmp_path: Path, name: str
) -> None:
    """Best class, its label and its score on generated photographs; the metadata as mediapipe's reader has it."""
    folder = road / "float"
    if name == "uint8":
        folder = tmp_path / "phone"
        qat = road / "run" / "qat.safetensors"
        assert main(["convert", str(qat), "--io", "uint8", "-o", str(folder), "--no-verify"]) == 0
    artifact = open_artifact(folder)
    frames = [object_image(index, 48)[0] for index in range(12)]
    told = ask(mediapipe_python, "classify", artifact, frames, tmp_path)
    predict = Predictor.load(artifact, engine="litert")
    output = artifact.model_file("model.tflite").outputs[0]
    for frame, best in zip(frames, told["best"], strict=True):
        prediction = predict(frame, format="rgb")
        assert isinstance(prediction, ClassPrediction)
        index, label, score = best[0]
        ours = dict(zip(prediction.scores.indices, prediction.scores.probabilities, strict=True))
        assert ours[index] == max(ours.values())  # equal scores have no order
        assert label == artifact.manifest.labels.names[index]
        assert output.meaning == "probabilities" or score == max(one[2] for one in best)
    preprocess = artifact.manifest.preprocess
    assert (told["mean"], told["std"]) == (list(preprocess.mean), list(preprocess.std))
    assert told["files"] == ["labels.txt"]


def segmenter(folder: Path, *, head: str, io: Literal["uint8"] | None, preprocess: Preprocess = PREPROCESS) -> Artifact:
    """Fast-SCNN for 96 x 64 scenes, random weights, its ranges from scenes; float32 without `io`, else INT8."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = build("fast_scnn", classes=len(CLASSES), resolution_hw=(64, 96)).eval()
    graph = float_graph(network, torch.zeros(1, 3, 64, 96))
    frames = np.stack([resize(scene(index, (64, 96))[0], preprocess) for index in range(4)])
    if io is not None:
        images = [normalize(frames, preprocess).transpose(0, 3, 1, 2)]
        graph = calibrate(graph, images, estimator="minmax", input_range=input_range(normalize_table(preprocess)))
    graph = append_head(graph, head)
    description = Description(
        name="segmenter",
        task="segment",
        head=head,  # type: ignore[arg-type]
        preprocess=preprocess,
        labels=Labels(names=CLASSES),
        quantization=QuantizationInfo(method="none" if io is None else "ptq"),
        provenance=provenance(source=folder, folder=folder),
        io=io,
    )
    return build_artifact(graph, description, folder, images=frames[:2])


@pytest.mark.parametrize("io", ["uint8", None])
def test_the_category_mask_is_the_predictors_map(
    mediapipe_python: str, tmp_path: Path, io: Literal["uint8"] | None
) -> None:
    """With full_logits: every pixel, INT8 and float; the labels too. mediapipe has no float mean per channel."""
    common = PREPROCESS.model_copy(update={"mean": (127.5,) * 3, "std": (127.5,) * 3})
    preprocess = common if io is None else PREPROCESS
    artifact = segmenter(tmp_path / "segmenter", head="full_logits", io=io, preprocess=preprocess)
    frames = [scene(100 + index, (64, 96))[0] for index in range(3)]
    told = ask(mediapipe_python, "segment", artifact, frames, tmp_path)
    predict = Predictor.load(artifact, engine="litert")
    found = np.load(tmp_path / "answers.npz")["masks"]
    assert told["labels"] == list(CLASSES)
    for frame, mask in zip(frames, found, strict=True):
        ours = predict(frame, format="rgb")
        assert isinstance(ours, SegmentPrediction)
        assert len(np.unique(ours.class_map)) > 1
        assert np.array_equal(mask, ours.class_map)


def test_logits_of_an_eighth_give_the_same_classes_in_the_confidence_masks(
    mediapipe_python: str, tmp_path: Path
) -> None:
    """Enlarged as the Predictor does it: its class is among the largest scores of every pixel, rounding apart."""
    artifact = segmenter(tmp_path / "segmenter", head="logits", io="uint8")
    frames = [scene(200 + index, (64, 96))[0] for index in range(2)]
    ask(mediapipe_python, "segment", artifact, frames, tmp_path)
    predict = Predictor.load(artifact, engine="litert")
    for frame, scores in zip(frames, np.load(tmp_path / "answers.npz")["scores"], strict=True):
        ours = predict(frame, format="rgb")
        assert isinstance(ours, SegmentPrediction)
        chosen = np.take_along_axis(scores, ours.class_map[..., None].astype(np.int64), axis=2)[..., 0]
        assert float((scores.max(axis=2) - chosen).max()) < 1e-5 * float(np.abs(scores).max())


def test_an_int8_input_is_not_what_mediapipe_loads(mediapipe_python: str, road: Path, tmp_path: Path) -> None:
    """The reason for --io uint8."""
    np.save(tmp_path / "frames.npy", np.zeros((1, 32, 32, 3), np.uint8))
    model = str(road / "int8" / "model.tflite")
    done = subprocess.run(
        [mediapipe_python, "-c", AGENT, "classify", model, "frames.npy", "answers.npz"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0 and "uint8/float32" in done.stderr
