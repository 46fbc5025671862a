"""What programs of the Raspberry Pi demand of a TFLite file, each driven as its public source drives it.

rpicam-apps: post_processing_stages/{tf,object_classify_tf,object_detect_tf,segmentation_tf}_stage.cpp; picamera2:
examples/tensorflow/{real_time_with_labels,segmentation}.py. mediapipe and Frigate: test_mediapipe.py,
test_detector_contracts.py.
"""

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from converters.convert.build import build_artifact
from converters.convert.heads import append_head
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo
from edge.artifact.model_file import Labels
from edge.artifact.scheme import input_range
from edge.data.scene import scene
from edge.models.registry import build
from edge.predictor.predictor import Predictor
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.capture import float_graph
from edge.tasks.classify import ClassPrediction
from edge.tasks.detect import BoxPrediction
from edge.tasks.segment import SegmentPrediction
from edge.vision.pixels import normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess
from tests.support.detector_artifact import detector_artifact

Array = npt.NDArray[Any]
CLASSES = ("sky", "building", "road", "tree", "person")
RPICAM_CLASSIFY, RPICAM_DETECT, RPICAM_SEGMENT = 224, 300, 257
RPICAM_BOXES = 10


class Host:
    """An interpreter as a host program holds it: inputs and outputs by place, no word of ours."""

    def __init__(self, path: Path) -> None:
        litert = pytest.importorskip("ai_edge_litert.interpreter", reason="the litert engine is not installed")
        self.interpreter = litert.Interpreter(model_path=str(path))
        self.interpreter.allocate_tensors()
        self.given = self.interpreter.get_input_details()[0]

    def outputs(self, tensor: Array) -> list[Array]:
        """All outputs for the first input."""
        self.interpreter.set_tensor(self.given["index"], tensor)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(one["index"]) for one in self.interpreter.get_output_details()]

    def rpicam(self, rgb: Array, side: int) -> list[Array]:
        """tf_stage.cpp: bytes into uint8, (value - 127.5) / 127.5 into float32, nothing else; the size is its own."""
        if self.given["dtype"] not in (np.uint8, np.float32):
            raise TypeError("TfStage: Input tensor data type not supported")
        assert int(np.prod(self.given["shape"])) == side * side * 3
        values = rgb if self.given["dtype"] == np.uint8 else (rgb.astype(np.float32) - 127.5) / np.float32(127.5)
        return self.outputs(values[None])


def preprocess_of(height: int, width: int) -> Preprocess:
    return Preprocess(
        colour_order="rgb", height=height, width=width, interpolation="bilinear", fit="stretch", crop_fraction=1.0,
        mean=(127.5,) * 3, std=(127.5,) * 3,
    )  # fmt: skip


def artifact(
    folder: Path,
    network: torch.nn.Module,
    size_hw: tuple[int, int],
    *,
    task: Literal["classify", "segment"],
    head: str | None = None,
    io: Literal["uint8"] | None = "uint8",
    int8: bool = True,
) -> Artifact:
    """A network of random weights, its ranges from scenes: what `edge quantize --head --io` writes, or in float."""
    torch.set_num_threads(1)
    preprocess = preprocess_of(*size_hw)
    frames = np.stack([resize(scene(index, size_hw)[0], preprocess) for index in range(3)])
    graph = float_graph(network.eval(), torch.zeros(1, 3, *size_hw))
    if int8:
        images = [normalize(frames, preprocess).transpose(0, 3, 1, 2)]
        graph = calibrate(graph, images, estimator="minmax", input_range=input_range(normalize_table(preprocess)))
    description = Description(
        name="hosted",
        task=task,
        head=head,  # type: ignore[arg-type]
        preprocess=preprocess,
        labels=Labels(names=CLASSES),
        quantization=QuantizationInfo(method="ptq" if int8 else "none"),
        provenance=provenance(source=folder, folder=folder),
        io=io if int8 else None,
    )
    graph = graph if head is None else append_head(graph, head)
    return build_artifact(graph, description, folder, images=frames[:1])


def scenes(side_hw: tuple[int, int]) -> list[Array]:
    return [scene(50 + index, side_hw)[0] for index in range(2)]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A classifier that ends in probabilities."""
    torch.manual_seed(0)
    network = build("mobilenet_v1", classes=len(CLASSES), width=0.25, resolution=RPICAM_CLASSIFY)
    folder = tmp_path_factory.mktemp("classifier") / "made"
    side = (RPICAM_CLASSIFY, RPICAM_CLASSIFY)
    return artifact(folder, torch.nn.Sequential(network, torch.nn.Softmax(dim=1)), side, task="classify")


def test_rpicams_classifier_reads_probabilities_of_uint8(classifier: Artifact) -> None:
    """Its confidence is the byte by 255; the last dimension is the number of labels."""
    host, predict = Host(classifier.file("model.tflite")), Predictor.load(classifier, engine="litert")
    for frame in scenes((RPICAM_CLASSIFY, RPICAM_CLASSIFY)):
        output = host.rpicam(frame, RPICAM_CLASSIFY)[0]
        assert output.dtype == np.uint8 and output.shape[-1] == len(CLASSES)
        confidences = output.reshape(-1) / 255.0
        seen = predict(frame, format="rgb")
        assert isinstance(seen, ClassPrediction)
        for index, probability in zip(seen.scores.indices, seen.scores.probabilities, strict=True):
            assert abs(confidences[index] - probability) <= 1 / 255
        assert confidences[seen.scores.indices[0]] == confidences.max()


def test_rpicam_refuses_int8_inputs(tmp_path: Path) -> None:
    network = build("mobilenet_v1", classes=len(CLASSES), width=0.25, resolution=RPICAM_CLASSIFY)
    side = (RPICAM_CLASSIFY, RPICAM_CLASSIFY)
    plain = torch.nn.Sequential(network, torch.nn.Softmax(dim=1))
    made = artifact(tmp_path / "int8", plain, side, task="classify", io=None)
    with pytest.raises(TypeError, match="data type not supported"):
        Host(made.file("model.tflite")).rpicam(scenes(side)[0], RPICAM_CLASSIFY)


def test_rpicams_detector_reads_ten_boxes_by_place(tmp_path: Path) -> None:
    """Boxes (1, 10, 4), classes and scores are the first three outputs, float32; the file has ten boxes at most."""
    made = detector_artifact(tmp_path / "boxes", resolution=RPICAM_DETECT, most=RPICAM_BOXES)
    host, predict = Host(made.file("model.tflite")), Predictor.load(made, engine="litert")
    for frame in scenes((RPICAM_DETECT, RPICAM_DETECT)):
        boxes, classes, scores = host.rpicam(frame, RPICAM_DETECT)[:3]
        assert boxes.shape == (1, RPICAM_BOXES, 4)
        assert all(array.dtype == np.float32 for array in (boxes, classes, scores))
        seen = predict(frame, format="rgb")
        assert isinstance(seen, BoxPrediction)
        _same_boxes(seen, boxes[0], classes[0], scores[0], made.manifest.detection.threshold)  # type: ignore[union-attr]


def _same_boxes(seen: BoxPrediction, boxes: Array, classes: Array, scores: Array, threshold: float) -> None:
    """What lies above the threshold is what the Predictor finds, in shares of the sides, y first."""
    height, width = seen.frame_hw
    found, inside = seen.boxes, boxes.clip(0, 1)
    kept = (scores >= np.float32(threshold)) & (inside[:, 0] < inside[:, 2]) & (inside[:, 1] < inside[:, 3])
    assert kept.sum() == len(found.scores) > 0
    np.testing.assert_allclose(np.sort(scores[kept])[::-1], found.scores, atol=1e-6)
    theirs = inside[kept][:, [1, 0, 3, 2]] * [width, height, width, height]
    for box, label, score in zip(theirs, classes[kept], scores[kept], strict=True):
        alike = (np.abs(found.boxes - box).max(axis=1) < 0.01) & (found.labels == int(label))
        assert (alike & (np.abs(found.scores - score) < 1e-6)).any()


def test_rpicams_segmenter_reads_float_scores_of_257(tmp_path: Path) -> None:
    """(1, 257, 257, labels) float32, whatever the input is: a float file that ends in full_logits."""
    torch.manual_seed(0)
    network = build("fast_scnn", classes=len(CLASSES), resolution_hw=(RPICAM_SEGMENT, RPICAM_SEGMENT))
    side = (RPICAM_SEGMENT, RPICAM_SEGMENT)
    made = artifact(tmp_path / "map", network, side, task="segment", head="full_logits", int8=False)
    host, predict = Host(made.file("model.tflite")), Predictor.load(made, engine="litert")
    for frame in scenes(side):
        output = host.rpicam(frame, RPICAM_SEGMENT)[0]
        assert output.dtype == np.float32 and output.shape == (1, *side, len(CLASSES))
        seen = predict(frame, format="rgb")
        assert isinstance(seen, SegmentPrediction)
        np.testing.assert_array_equal(output[0].argmax(axis=-1), seen.class_map)
        assert len(np.unique(seen.class_map)) > 1


@pytest.mark.parametrize("int8", [True, False])
def test_picamera2s_detector_reads_four_outputs_by_place(tmp_path: Path, int8: bool) -> None:
    """real_time_with_labels.py: the grey rows of YUV420 three times, resized; boxes, classes, scores, count."""
    made = detector_artifact(tmp_path / "boxes", int8=int8)
    host, predict = Host(made.file("model.tflite")), Predictor.load(made, engine="litert")
    height, width = host.given["shape"][1:3]
    for frame in scenes((240, 320)):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        picture = cv2.resize(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), (width, height))[None]
        tensor = (
            (picture.astype(np.float32) - 127.5) / np.float32(127.5) if host.given["dtype"] == np.float32 else picture
        )
        boxes, classes, scores, count = host.outputs(tensor)
        first = int(count[0])
        seen = predict(grey, format="grey")
        assert isinstance(seen, BoxPrediction)
        _same_boxes(seen, boxes[0, :first], classes[0, :first], scores[0, :first], made.manifest.detection.threshold)  # type: ignore[union-attr]


def test_picamera2s_segmenter_takes_the_best_of_the_last_axis(tmp_path: Path) -> None:
    """segmentation.py: RGB as it is into uint8 (a float model is given 0..1), argmax of the first output."""
    torch.manual_seed(0)
    side = (64, 96)
    network = build("fast_scnn", classes=len(CLASSES), resolution_hw=side)
    made = artifact(tmp_path / "map", network, side, task="segment", head="full_logits")
    host, predict = Host(made.file("model.tflite")), Predictor.load(made, engine="litert")
    assert host.given["dtype"] == np.uint8
    for frame in scenes(side):
        mask = host.outputs(frame[None])[0][0].argmax(axis=-1)
        seen = predict(frame, format="rgb")
        assert isinstance(seen, SegmentPrediction)
        np.testing.assert_array_equal(mask, seen.class_map)
        assert len(np.unique(mask)) > 1
