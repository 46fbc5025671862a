"""The Predictor: the same input whatever the frame's colour order, and answers that the manifest explains."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.artifact.manifest import open_artifact
from edge.data.decode import read_image
from edge.engines.engine import EngineInfo
from edge.engines.null import NullSession
from edge.errors import ArtifactError, EngineError, UsageError
from edge.port import Port
from edge.predictor.predictor import Predictor
from edge.predictor.selftest import model_input
from edge.tasks.classify import ClassPrediction, LabelsPrediction
from edge.tasks.segment import SegmentPrediction
from edge.vision.pixels import resize

MakeArtifact = Callable[..., Path]
FLOAT = {"dtype": "float32", "scale": None, "zero_point": None}


class RecordingSession:
    """A null session that keeps the last input."""

    def __init__(self, null: NullSession) -> None:
        self._null = null
        self.last: npt.NDArray[Any] | None = None

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self._null.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._null.outputs

    @property
    def info(self) -> EngineInfo:
        return self._null.info

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        self.last = inputs[0].copy()
        return self._null.run(inputs)


def predictor(folder: Path, prediction: npt.NDArray[Any] | None = None) -> tuple[Predictor, RecordingSession]:
    artifact = open_artifact(folder)
    file = artifact.manifest.files[0]
    ports = [tuple(tensor.port for tensor in tensors) for tensors in (file.inputs, file.outputs)]
    session = RecordingSession(
        NullSession(inputs=ports[0], outputs=ports[1], values=None if prediction is None else [prediction])
    )
    return Predictor(artifact, file, session), session


def frame(height: int = 21, width: int = 34) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("given", [None, [[[1, 2, 3]]], "frame.png", Path("frame.png"), b"\xff\xd8"])
def test_what_is_no_frame_is_refused(make_artifact: MakeArtifact, given: Any) -> None:
    predict, _ = predictor(make_artifact())
    with pytest.raises(UsageError, match="a frame in bgr must be an array of uint8"):
        predict(given)


def test_a_predictor_is_closed_by_its_block_and_twice_is_as_good_as_once(make_artifact: MakeArtifact) -> None:
    with Predictor.load(make_artifact(), engine="null", selftest=False) as predict:
        predict(frame())
    predict.close()
    with pytest.raises(EngineError, match="the session is closed; load the model again"):
        predict(frame())


PREPROCESS = {
    "height": 8,
    "width": 8,
    "interpolation": "bilinear",
    "crop_fraction": 1.0,
    "mean": (10.0, 100.0, 200.0),
    "std": (50.0, 60.0, 70.0),
}


@pytest.mark.parametrize("colour_order", ["rgb", "bgr"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize(
    "given", [{}, {"dtype": "uint8", "zero_point": 128, "shape": (1, 3, 8, 8), "layout": "nchw"}, FLOAT]
)
def test_input_is_that_of_the_self_test_for_frames_in_both_orders(
    make_artifact: MakeArtifact, colour_order: str, fit: str, given: dict[str, Any]
) -> None:
    folder = make_artifact(preprocess={**PREPROCESS, "colour_order": colour_order, "fit": fit}, input=given)
    predict, session = predictor(folder)
    manifest = open_artifact(folder).manifest
    rgb = frame()
    expected = model_input(resize(rgb, manifest.preprocess)[None], manifest.files[0], manifest.preprocess)
    for order, image in (("rgb", rgb), ("bgr", rgb[:, :, ::-1].copy())):
        predict(image, format=order)
        assert session.last is not None and session.last.dtype == expected.dtype
        np.testing.assert_array_equal(session.last, expected)


def test_a_classifier_answers_with_names_and_dequantized_probabilities(make_artifact: MakeArtifact) -> None:
    predict, _ = predictor(make_artifact(), np.array([[-128, 64, 0]], np.int8))
    prediction = predict(frame())
    assert isinstance(prediction, ClassPrediction)
    assert prediction.scores.names == ("class 1", "class 2", "class 0")
    assert (prediction.label, prediction.probability) == ("class 1", 0.75)
    assert prediction.times.total_ns >= prediction.times.infer_ns > 0


def test_a_segmenter_answers_with_a_map_of_the_frames_size(make_artifact: MakeArtifact) -> None:
    cells = np.zeros((2, 4, 4, 3), np.int8)
    folder = make_artifact(
        outputs=(cells,), task="segment", head="logits", output={"layout": "nhwc", "meaning": "logits"}
    )
    prediction = cells[:1].copy()
    prediction[:, :, :2, 1] = 50  # left half: class 1
    prediction[:, :, 2:, 2] = 50
    predict, _ = predictor(folder, prediction)
    seen = predict(frame(40, 80))
    assert isinstance(seen, SegmentPrediction)
    assert seen.class_map.shape == (40, 80)
    assert (seen.class_map[:, :30] == 1).all() and (seen.class_map[:, 50:] == 2).all()


def test_an_artifact_whose_file_disagrees_with_its_manifest_is_refused(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    file = artifact.manifest.files[0]
    other = (Port(name="image", shape=(1, 9, 9, 3), dtype="int8"),)
    session = NullSession(inputs=other, outputs=tuple(tensor.port for tensor in file.outputs))
    with pytest.raises(ArtifactError, match=r"int8 \(1, 8, 8, 3\) in the manifest, int8 \(1, 9, 9, 3\) in the file"):
        Predictor(artifact, file, session)


def test_independent_labels_are_those_that_hold(make_artifact: MakeArtifact) -> None:
    folder = make_artifact(output={"scores": "independent"})
    seen = predictor(folder, np.array([[0, -128, 64]], np.int8))[0](frame())
    assert isinstance(seen, LabelsPrediction)
    assert seen.labels == ("class 2", "class 0")
    none = predictor(folder, np.array([[-1, -128, -2]], np.int8))[0](frame())
    assert isinstance(none, LabelsPrediction)
    assert (none.labels, none.scores.names[0]) == ((), "class 0")


@pytest.mark.parametrize(("value", "label"), [(-1, "no"), (0, "yes")])
def test_one_score_decides_between_two_names(make_artifact: MakeArtifact, value: int, label: str) -> None:
    folder = make_artifact(
        outputs=(np.zeros((2, 1), np.int8),), output={"scores": "independent"}, labels={"names": ["no", "yes"]}
    )
    seen = predictor(folder, np.array([[value]], np.int8))[0](frame())
    assert isinstance(seen, ClassPrediction)
    assert seen.label == label
    assert dict(zip(seen.scores.names, seen.scores.probabilities, strict=True))["yes"] == (value + 128) / 256


def test_the_bytes_that_are_loaded_are_those_that_were_checked(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    (artifact.folder / "model.tflite").write_bytes(b"0000TFL4")
    with pytest.raises(ArtifactError, match=r"model\.tflite: changed"):
        Predictor.load(artifact, engine="null")


def test_loading_runs_the_self_test(make_artifact: MakeArtifact) -> None:
    right = make_artifact("right")
    assert Predictor.load(right, engine="null").info.engine == "null"
    wrong = make_artifact("wrong", outputs=(np.full((2, 3), 7, np.int8),))
    with pytest.raises(EngineError, match=r"self-test of model\.tflite: differs by 7, 0 is allowed for null/none/"):
        Predictor.load(wrong, engine="null")
    assert Predictor.load(wrong, engine="null", selftest=False).info.kernels == "none"


def test_what_only_a_detector_takes_and_a_misspelt_colour_order_are_refused(make_artifact: MakeArtifact) -> None:
    for asked in ({"threshold": 0.5}, {"top": 3}):
        with pytest.raises(UsageError, match="a threshold and a number of boxes are a detector's"):
            Predictor.load(make_artifact("-".join(asked)), engine="null", **asked)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="did you mean 'bgr'"):
        predictor(make_artifact("second"))[0](frame(), format="bgrr")  # type: ignore[arg-type]


@pytest.mark.data
def test_a_real_classifier_recognizes_photographs(make_artifact: MakeArtifact, test_data: Path) -> None:
    """40 photographs; this file reaches 89.6 % on all 500 (README of the test data)."""
    pytest.importorskip("ai_edge_litert", reason="the litert engine is not installed")
    names = (test_data / "models" / "imagenet_1001_labels.txt").read_text().splitlines()
    folder = make_artifact(
        model=(test_data / "models" / "tf2_mobilenet_v2_1.0_224_ptq.tflite").read_bytes(),
        size_hw=(224, 224),
        outputs=(np.zeros((1, 1001), np.uint8),),
        input={"name": "input_4", "dtype": "uint8", "scale": 0.007843137718737125, "zero_point": 127},
        output={"scale": 1 / 256, "zero_point": 0},
        labels={"names": names},
        preprocess={
            "colour_order": "rgb",
            "height": 224,
            "width": 224,
            "interpolation": "bilinear",
            "fit": "crop",
            "crop_fraction": 0.875,
            "mean": (127.5,) * 3,
            "std": (127.5,) * 3,
        },
    )
    predict = Predictor.load(folder, engine="litert", selftest=False)
    rows = [line.rsplit("\t", 1) for line in (test_data / "imagenet_samples/dev_labels.txt").read_text().splitlines()]
    right = 0
    for name, index in rows[::13]:
        rgb = read_image(test_data / "imagenet_samples" / "dev" / name)
        seen = predict(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)))
        assert isinstance(seen, ClassPrediction)
        right += seen.scores.indices[0] == int(index) + 1
    assert right / len(rows[::13]) >= 0.8


@pytest.mark.unhurried
def test_no_torch_in_the_process_of_a_predictor(make_artifact: MakeArtifact) -> None:
    code = (
        "import sys, json, numpy as np\n"
        "from edge.predictor.predictor import Predictor\n"
        "Predictor.load(sys.argv[1], engine='null')(np.zeros((9, 9, 3), np.uint8))\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(make_artifact())], capture_output=True, text=True, check=True
    )
    assert not {"torch", "onnx", "flatbuffers", "converters"} & set(json.loads(done.stdout))
