"""What hosts demand of a detector's file, host by host: mediapipe's tasks, Android's Task Library, Frigate.

mediapipe runs here. The other two contracts are what their public sources read and check, stated as assertions:
tensorflow_lite_support/cc/task/vision/object_detector.cc and frigate/detectors/plugins/{cpu,edgetpu}_tfl.py.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.artifact.manifest import Artifact
from edge.engines.litert import open_litert
from edge.graph.importers.tflite.metadata import FileMetadata, read_metadata
from edge.graph.importers.tflite.metadata_schema import ENUMERATIONS
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.selftest import model_input
from edge.vision.file_outputs import LEAST_PROBABILITY
from edge.vision.four_outputs import FourOutputs
from tests.support.detector_artifact import CLASSES, SELECTION, detector_artifact, scenes


@pytest.fixture(scope="module", params=["int8", "float"])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """By `--head postprocess`."""
    return detector_artifact(tmp_path_factory.mktemp("made") / "detector", int8=request.param == "int8")


def four(detector: Artifact, frame: np.ndarray, kernels: str | None = None) -> FourOutputs:
    """The file's answer to one frame of the model's size, in LiteRT."""
    file = detector.model_file("model.tflite")
    raw = model_input(frame[None], file, detector.manifest.preprocess)
    return FourOutputs.of(open_litert(detector.file("model.tflite"), kernels=kernels).run([raw]))


def table(scores: Any, labels: Any, boxes: Any) -> np.ndarray:
    """One row a box, in an order that does not depend on how equal scores are sorted."""
    rows = np.column_stack([scores, labels, boxes]).astype(np.float64)
    return rows[np.lexsort([*rows[:, :1:-1].round(3).T, rows[:, 1], -rows[:, 0]])]


AGENT = """
import json, sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
model, images, threshold = sys.argv[1:]
base = BaseOptions(model_asset_path=model)
options = vision.ObjectDetectorOptions(base_options=base, score_threshold=float(threshold))
told = []
with vision.ObjectDetector.create_from_options(options) as task:
    for frame in np.load(images):
        found = task.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame))).detections
        told.append([
            (category.category_name, category.score,
             one.bounding_box.origin_x, one.bounding_box.origin_y, one.bounding_box.width, one.bounding_box.height)
            for one in found for category in one.categories
        ])
print(json.dumps(told))
"""


def test_mediapipes_object_detector_gives_the_same_boxes(
    detector: Artifact, mediapipe_python: str, tmp_path: Path
) -> None:
    """Class, name and score as LiteRT gives them; boxes in whole pixels, left and top clipped to the frame.

    Right and bottom are clipped to the sides. mediapipe tells boxes of several classes at exactly one place as one
    box of several categories.
    """
    frames = scenes(detector.manifest.preprocess, 6)
    np.save(tmp_path / "frames.npy", frames)
    done = subprocess.run(
        [mediapipe_python, "-c", AGENT, detector.file("model.tflite"), "frames.npy", str(SELECTION.threshold)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    side, total = detector.manifest.preprocess.width, 0
    for frame, told in zip(frames, json.loads(done.stdout.splitlines()[-1]), strict=True):
        found = four(detector, frame)
        count = int((found.scores[0] >= SELECTION.threshold).sum())
        y0, x0, y1, x1 = found.boxes[0, :count].T * side
        sides = np.stack([x0.clip(0), y0.clip(0), (x1 - x0).clip(0, side), (y1 - y0).clip(0, side)], 1)
        expected = table(found.scores[0, :count], found.classes[0, :count], sides)
        heard = table([one[1] for one in told], [CLASSES.index(one[0]) for one in told], [one[2:] for one in told])
        assert len(heard) == len(expected)
        within = np.array([1e-4, 0, 1, 1, 1, 1])  # float kernels of another build; whole pixels
        left = list(heard)
        for row in expected:
            alike = [place for place, one in enumerate(left) if (np.abs(one - row) <= within).all()]
            assert alike, (row, heard)
            left.pop(alike[0])
        total += count
    assert total > 20


def metadata_of(detector: Artifact) -> FileMetadata:
    found = read_metadata(detector.file("model.tflite"))
    assert found is not None
    return found


def test_androids_task_library_finds_what_it_demands(detector: Artifact) -> None:
    """ObjectDetector's checks of tensors and metadata, one by one; the order is by name, and by place without names."""
    graph, metadata = read_tflite(detector.file("model.tflite")), metadata_of(detector)
    (given,) = [graph.tensors[name] for name in graph.inputs]
    preprocess = detector.manifest.preprocess
    side = preprocess.width
    assert given.shape == (1, side, side, 3) and given.dtype in ("uint8", "float32")
    assert metadata.normalization == (list(preprocess.mean), list(preprocess.std))
    outputs = [graph.tensors[name] for name in graph.outputs]
    most = SELECTION.most
    assert [output.shape for output in outputs] == [(1, most, 4), (1, most), (1, most), (1,)]
    assert {output.dtype for output in outputs} == {"float32"}
    location, category, score, number = metadata.tensors("output")
    names = [part["name"] for part in (location, category, score, number)]
    assert names == ["location", "category", "score", "number of detections"]
    properties = location["content"]["content_properties"]["BoundingBoxProperties"]
    assert properties["type"] == ENUMERATIONS["BoundingBoxType"]["BOUNDARIES"]
    assert properties.get("coordinate_type", 0) == ENUMERATIONS["CoordinateType"]["RATIO"]
    assert properties["index"] == [1, 0, 3, 2]  # left, top, right, bottom among top, left, bottom, right
    (file,) = category["associated_files"]
    assert file["type"] == ENUMERATIONS["AssociatedFileType"]["TENSOR_VALUE_LABELS"]
    assert metadata.files[file["name"]].decode().splitlines() == list(CLASSES)
    (group,) = metadata.model["subgraph_metadata"][0]["output_tensor_groups"]
    assert group == {"name": "detection_result", "tensor_names": ["location", "category", "score"]}


FRIGATE = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=3)
interpreter.allocate_tensors()
given, results = interpreter.get_input_details(), interpreter.get_output_details()
answers = []
for frame in np.load(sys.argv[2]):
    interpreter.set_tensor(given[0]["index"], frame[None])
    interpreter.invoke()
    boxes, classes, scores, count = [interpreter.get_tensor(result["index"]) for result in results]
    answers.append(np.column_stack([classes[0], scores[0], boxes[0], np.full(len(scores[0]), count[0])]))
np.savez(sys.argv[3], rows=np.stack(answers), ranks=[len(result["shape"]) for result in results])
"""


def test_frigates_detectors_read_it(tflite_runtime_python: str, tmp_path: Path) -> None:
    """Its cpu and edgetpu plugins: uint8 NHWC 320x320, outputs by place, rows from the best on, a line a class.

    They stop at the first score below 0.4 and at 20 rows; the Edge TPU's plugin wants one output of rank 3 and one of
    rank 1; a label file whose first word is a number would be read as numbers and names.
    """
    made = detector_artifact(tmp_path / "detector", resolution=320)
    graph = read_tflite(made.file("model.tflite"))
    (given,) = [graph.tensors[name] for name in graph.inputs]
    assert (given.shape, given.dtype) == ((1, 320, 320, 3), "uint8")
    frames = scenes(made.manifest.preprocess, 2)
    np.save(tmp_path / "frames.npy", frames)
    command = [
        tflite_runtime_python,
        "-c",
        FRIGATE,
        made.file("model.tflite"),
        tmp_path / "frames.npy",
        tmp_path / "answers.npz",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    answers = np.load(tmp_path / "answers.npz")
    assert answers["ranks"].tolist() == [3, 2, 2, 1]
    for frame, rows in zip(frames, answers["rows"], strict=True):
        count = int(rows[0, 6])
        classes, scores, boxes = rows[:count, 0], rows[:count, 1], rows[:count, 2:6]
        assert count > 3 and (np.diff(scores) <= 0).all() and (scores >= LEAST_PROBABILITY).all()
        assert set(classes.tolist()) <= set(range(len(CLASSES)))
        assert (boxes[:, 0] < boxes[:, 2]).all() and (boxes[:, 1] < boxes[:, 3]).all()
        found = four(made, frame, kernels="builtin")  # tflite-runtime has no others for INT8
        expected = table(found.scores[0, :count], found.classes[0, :count], found.boxes[0, :count])
        heard = table(scores, classes, boxes)
        assert int(found.count[0]) == count
        sure = expected[:, 0] > expected[-1, 0]  # of equal scores at the end any may be cut off
        np.testing.assert_allclose(heard[sure], expected[sure], atol=1e-5)
        assert sure.sum() > 10
    assert not metadata_of(made).labels[0].split()[0].isdigit()


def test_hosts_find_the_threshold_of_the_manifest(detector: Artifact) -> None:
    """The operator lets more through; the Task Library takes its default from the score's metadata."""
    (_, _, score, _) = metadata_of(detector).tensors("output")
    (unit,) = score["process_units"]
    told = unit["options"]["ScoreThresholdingOptions"]["global_score_threshold"]
    assert told == pytest.approx(detector.manifest.detection.threshold)


def test_raw_heads_name_the_columns_of_their_scores(tmp_path: Path) -> None:
    """The label file begins with the background where the scores do."""
    raw = detector_artifact(tmp_path / "raw", head="raw")
    found = metadata_of(raw)
    assert found.labels == ("background", *CLASSES)
    assert [part["name"] for part in found.tensors("output")] == ["box_codes", "score"]
