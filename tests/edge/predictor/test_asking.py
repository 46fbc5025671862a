"""What a call may ask for: formats, a region, how many, from which probability on, raw outputs; and what it costs."""

import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.artifact.manifest import open_artifact
from edge.errors import UsageError
from edge.port import Port
from edge.predictor.predictor import Predictor
from edge.predictor.selftest import model_input
from edge.tasks.classify import ClassPrediction, LabelsPrediction
from edge.tasks.segment import NOT_SEEN, SegmentPrediction, class_shares
from edge.vision.frame import PIXEL_FORMATS, Frame, PixelFormat
from edge.vision.pixels import resize
from tests.edge.predictor.test_predictor import predictor
from tests.support.frames import made_frame

MakeArtifact = Callable[..., Path]
Array = npt.NDArray[Any]
CELLS = np.zeros((1, 4, 4, 3), np.int8)
CELLS[:, :, :2, 1] = 50  # left half class 1, right half class 2
CELLS[:, :, 2:, 2] = 50
SEGMENT = {"task": "segment", "head": "logits", "output": {"layout": "nhwc", "meaning": "logits"}}


def segmenter(make_artifact: MakeArtifact, cells: Array = CELLS, **changes: Any) -> Predictor:
    folder = make_artifact(outputs=(np.zeros((2, *cells.shape[1:]), np.int8),), **{**SEGMENT, **changes})
    return predictor(folder, cells)[0]


@pytest.mark.parametrize("layout", PIXEL_FORMATS)
def test_every_format_gives_the_input_of_its_rgb_picture(make_artifact: MakeArtifact, layout: PixelFormat) -> None:
    """As a Frame, with padding, and as an array whose format is named; whole and in part."""
    folder = make_artifact()
    predict, session = predictor(folder)
    manifest = open_artifact(folder).manifest
    whole = made_frame(layout, (34, 50))
    padded = Frame(image=whole.image, format=layout, size_hw=(31, 47))
    for frame, given in ((whole, {"format": layout}), (padded, {}), (padded, {"region": (3, 5, 20, 21)})):
        top, left, height, width = given.get("region", (0, 0, *frame.size_hw))  # type: ignore[misc]
        part = np.ascontiguousarray(frame.rgb()[top : top + height, left : left + width])
        predict(frame.image if "format" in given else frame, **given)  # type: ignore[arg-type]
        expected = model_input(resize(part, manifest.preprocess)[None], manifest.files[0], manifest.preprocess)
        assert session.last is not None
        np.testing.assert_array_equal(session.last, expected)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_next_frame_is_given_as_the_first_was(make_artifact: MakeArtifact, fit: str, dtype: str) -> None:
    """Of a letterbox the border too, which is laid once."""
    preprocess = {
        "colour_order": "rgb",
        "height": 8,
        "width": 8,
        "interpolation": "bilinear",
        "fit": fit,
        "crop_fraction": 1.0,
        "mean": (127.5, 100.0, 90.0),
        "std": (127.5, 60.0, 70.0),
    }
    given = {"dtype": dtype, "zero_point": 0 if dtype == "int8" else 128}
    folder = make_artifact(preprocess=preprocess, input=given)
    predict, session = predictor(folder)
    manifest = open_artifact(folder).manifest
    for seed in (1, 2, 1):
        frame = made_frame("rgb", (30, 50), seed=seed)
        predict(frame)
        expected = model_input(resize(frame.image, manifest.preprocess)[None], manifest.files[0], manifest.preprocess)
        assert session.last is not None
        np.testing.assert_array_equal(session.last, expected)


def test_the_age_is_counted_from_the_capture(make_artifact: MakeArtifact) -> None:
    predict, _ = predictor(make_artifact())
    captured_ns = time.monotonic_ns() - 5_000_000
    seen = predict(Frame(image=np.zeros((9, 9), np.uint8), format="grey", captured_ns=captured_ns))
    assert seen.captured_ns == captured_ns
    assert 5_000_000 <= seen.age_ns <= time.monotonic_ns() - captured_ns
    before = time.monotonic_ns()
    assert predict(np.zeros((9, 9, 3), np.uint8)).captured_ns >= before


def test_a_batch_is_its_frames_in_order(make_artifact: MakeArtifact) -> None:
    predict, session = predictor(make_artifact(), np.array([[-128, 64, 0]], np.int8))
    frames = [np.full((9, 9, 3), value, np.uint8) for value in (3, 200)]
    found = predict.batch(frames, top_k=1)
    assert [one.scores.names for one in found if isinstance(one, ClassPrediction)] == [("class 1",)] * 2
    assert session.last is not None and len(np.unique(session.last)) == 1
    with pytest.raises(UsageError, match="a frame in bgr must be"):
        predict.batch([frames[0], frames[1][0]])


def test_so_many_classes_and_the_probability_from_which_one_is_decided(make_artifact: MakeArtifact) -> None:
    predict, _ = predictor(make_artifact(), np.array([[-128, 64, 0]], np.int8))  # 0, 0.75, 0.5
    for top_k, names in ((1, 1), (2, 2), (9, 3)):
        seen = predict(np.zeros((9, 9, 3), np.uint8), top_k=top_k)
        assert isinstance(seen, ClassPrediction) and len(seen.scores.names) == names
    for threshold, decided in ((0.7, 1), (0.75, 1), (0.76, 0)):
        seen = predict(np.zeros((9, 9, 3), np.uint8), threshold=threshold)
        assert isinstance(seen, ClassPrediction)
        assert (seen.scores.decided, seen.label) == (decided, "class 1")


def test_labels_hold_from_the_threshold_on(make_artifact: MakeArtifact) -> None:
    predict, _ = predictor(make_artifact(output={"scores": "independent"}), np.array([[0, -64, 64]], np.int8))
    for threshold, labels in ((0.2, ("class 2", "class 0", "class 1")), (0.75, ("class 2",)), (0.76, ())):
        seen = predict(np.zeros((9, 9, 3), np.uint8), threshold=threshold, top_k=1)
        assert isinstance(seen, LabelsPrediction)
        assert seen.labels == labels


@pytest.mark.parametrize("asked", [{"top_k": 3}, {"threshold": 0.5}])
def test_what_a_task_does_not_have_is_refused(make_artifact: MakeArtifact, asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="top_k is for classes and boxes"):
        segmenter(make_artifact)(np.zeros((9, 9, 3), np.uint8), **asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"top_k": 0}, "top_k 0; 1 to 10000 are possible"),
        ({"threshold": 1.0}, "a probability between 0 and 1 is needed"),
        ({"region": (0, 0, 10, 9)}, r"region \(0, 0, 10, 9\) .* does not lie in a frame of 9x9"),
        ({"region": (-1, 0, 3, 3)}, "does not lie in a frame"),
        ({"region": (0, 0, 0, 3)}, "does not lie in a frame"),
        ({"region": (0.5, 0, 3, 3)}, r"region \(0.5, 0, 3, 3\) is not four whole numbers"),
        ({"region": (0, 0, 3)}, "is not four whole numbers"),
        ({"region": 3}, "region 3 is not four whole numbers"),
        ({"region": ([0], 0, 3, 3)}, "is not four whole numbers"),
        ({"format": "nv21"}, "did you mean 'nv12'"),
    ],
)
def test_what_cannot_be_is_refused(make_artifact: MakeArtifact, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        predictor(make_artifact())[0](np.zeros((9, 9, 3), np.uint8), **asked)


def test_a_frame_says_itself_what_it_is(make_artifact: MakeArtifact) -> None:
    predict, _ = predictor(make_artifact())
    with pytest.raises(UsageError, match="a Frame says itself that it is grey"):
        predict(Frame(image=np.zeros((9, 9), np.uint8), format="grey"), format="grey")


def test_raw_outputs_are_real_values_and_only_there_when_asked_for(make_artifact: MakeArtifact) -> None:
    predict, _ = predictor(make_artifact(), np.array([[-128, 64, 0]], np.int8))
    image = np.zeros((9, 9, 3), np.uint8)
    assert predict(image).raw is None
    (scores,) = predict(image, raw=True).raw or ()
    np.testing.assert_array_equal(scores, np.array([[0, 0.75, 0.5]], np.float32))
    (cells,) = segmenter(make_artifact, name="segmenter")(image, raw=True).raw or ()
    assert cells.shape == (1, 4, 4, 3) and cells.dtype == np.float32


def test_the_map_of_the_frames_size_is_made_when_it_is_asked_for_and_once(make_artifact: MakeArtifact) -> None:
    seen = segmenter(make_artifact)(np.zeros((40, 80, 3), np.uint8))
    assert isinstance(seen, SegmentPrediction)
    assert "class_map" not in vars(seen)
    assert seen.model_map.shape == (8, 8)
    assert seen.class_map.shape == (40, 80)
    assert seen.class_map is seen.class_map
    for array, column in ((seen.model_map, 1), (seen.class_map, 10)):
        assert (array[:, :column] == 1).all() and (array[:, -column:] == 2).all()
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0


def test_a_region_of_a_segmenter_lies_where_it_was(make_artifact: MakeArtifact) -> None:
    seen = segmenter(make_artifact)(np.zeros((40, 80, 3), np.uint8), region=(4, 10, 20, 60))
    assert isinstance(seen, SegmentPrediction)
    inside = seen.class_map[4:24, 10:70]
    assert (inside[:, :20] == 1).all() and (inside[:, 40:] == 2).all()
    assert np.count_nonzero(seen.class_map == NOT_SEEN) == 40 * 80 - 20 * 60
    assert class_shares(seen) == {"class 1": 0.5, "class 2": 0.5}


@pytest.mark.parametrize(("fit", "share"), [("stretch", 0.5), ("letterbox", 0.5), ("crop", 0.25)])
def test_shares_are_of_the_frame_whatever_the_model_saw(make_artifact: MakeArtifact, fit: str, share: float) -> None:
    preprocess = {
        "colour_order": "rgb",
        "height": 8,
        "width": 8,
        "interpolation": "bilinear",
        "fit": fit,
        "crop_fraction": 1.0,
        "mean": (127.5,) * 3,
        "std": (127.5,) * 3,
    }
    seen = segmenter(make_artifact, preprocess=preprocess)(np.zeros((40, 80, 3), np.uint8))
    assert isinstance(seen, SegmentPrediction)
    assert class_shares(seen) == {"class 1": share, "class 2": share}
    counted = np.count_nonzero(seen.class_map == 1) / seen.class_map.size
    assert abs(counted - share) < 0.01


def test_many_threads_get_the_answers_of_one(make_artifact: MakeArtifact) -> None:
    """Frames of different sizes and formats at once: each answer is that of its own frame."""
    folder = make_artifact(outputs=(np.zeros((2, 8, 8, 3), np.int8),), **SEGMENT)
    artifact = open_artifact(folder)
    file = artifact.manifest.files[0]
    predict = Predictor(artifact, file, Echo(file.inputs[0].port, file.outputs[0].port))
    frames = [
        made_frame(layout, (20 + 2 * index, 30 + 4 * index), seed=index) for index, layout in enumerate(PIXEL_FORMATS)
    ]
    expected = [_maps(predict, frame) for frame in frames]
    assert len({expected[0][0].tobytes(), expected[1][0].tobytes()}) == 2
    wrong: list[int] = []

    def ask(first: int) -> None:
        for number in range(first, first + 60):
            index = number % len(frames)
            found = _maps(predict, frames[index])
            if not all(map(np.array_equal, found, expected[index])):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _maps(predict: Predictor, frame: Frame) -> tuple[Array, Array]:
    seen = predict(frame)
    assert isinstance(seen, SegmentPrediction)
    return seen.model_map, seen.class_map


class Echo:
    """A session whose scores are its input."""

    def __init__(self, given: Port, answer: Port) -> None:
        self.inputs, self.outputs = (given,), (answer,)

    def run(self, inputs: Any) -> list[Array]:
        return [inputs[0].copy()]


@pytest.mark.parametrize("layout", ["bgr", "rgb", "bgra", "grey", "nv12", "yuv420", "yuyv"])
@pytest.mark.parametrize("task", ["classify", "segment"])
def test_a_call_allocates_what_its_result_holds(make_artifact: MakeArtifact, layout: PixelFormat, task: str) -> None:
    """After the first call; a plane of the frame or of the model's input anew would be seen."""
    preprocess = {
        "colour_order": "rgb",
        "height": 96,
        "width": 128,
        "interpolation": "bilinear",
        "fit": "stretch",
        "crop_fraction": 1.0,
        "mean": (127.5,) * 3,
        "std": (127.5,) * 3,
    }
    changes: dict[str, Any] = {"preprocess": preprocess, "size_hw": (96, 128)}
    predict = (
        segmenter(make_artifact, **changes)
        if task == "segment"
        else Predictor.load(make_artifact(**changes), engine="null")
    )
    predict._session = Answering(predict._session)  # type: ignore[assignment]
    frame = made_frame(layout, (480, 640))
    for _ in range(3):
        _complete(predict(frame))
    tracemalloc.start()
    try:
        kept = [predict(frame) for _ in range(3)]
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(5):
            predict(frame)
        after, peak = tracemalloc.get_traced_memory()
        held = sum(seen.model_map.nbytes for seen in kept[:1] if isinstance(seen, SegmentPrediction))
        small = 9_000  # Python's objects, numpy's for sorting; the model's input has 36,864 bytes, a plane of it 12,288
        assert peak - before < 2 * held + small  # one result is made before the one before it is dropped
        assert after - before < small
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        _complete(kept[0])
        full = 480 * 640 if task == "segment" else 0
        assert tracemalloc.get_traced_memory()[1] - before < full + small
    finally:
        tracemalloc.stop()


def _complete(seen: Any) -> None:
    if isinstance(seen, SegmentPrediction):
        assert seen.class_map.size


class Answering:
    """A session that answers what it answered first, and keeps nothing of its input."""

    def __init__(self, session: Any) -> None:
        self.outputs = session.outputs
        given = [np.zeros(port.shape, port.dtype) for port in session.inputs]
        self._answers = session.run(given)

    def run(self, inputs: Any) -> list[Array]:
        return list(self._answers)
