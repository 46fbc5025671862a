"""TFLite_Detection_PostProcess, written here, runs in LiteRT and tflite-runtime and gives what numpy gives."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

from converters.passes.detection_ending import detection_ending
from converters.tflite.detection_postprocess import CODE, with_detection_postprocess
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from edge.errors import UsageError
from edge.graph.graph import Graph, Quantization, Tensor
from edge.graph.importers.tflite.parsing.schema import schema
from edge.graph.importers.tflite.reader import read_tflite
from edge.port import Port, dequantize
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection
from edge.vision.four_outputs import FourOutputs
from edge.vision.postprocess import sigmoid
from edge.vision.tflite_detections import PostProcess, post_process
from tests.support.ssd_heads import Heads

ANCHORS = anchor_boxes(ssd_grid([(5, 5), (3, 3), (2, 2), (1, 1)]))
CLASSES = 6
FORMS = {("float32", "uint8"): 1000, ("float32", "float32"): 100, ("uint8", "uint8"): 100}
"""Types of codes and scores, and how many heads; the first is what our files have."""
CODE_STEP, SCORE_STEP = (np.float32(0.05), 120), (np.float32(1 / 256), 0)


@dataclass(frozen=True)
class Head:
    """Raw inputs of the operator and the real numbers that they stand for."""

    raw: list[np.ndarray]
    codes: np.ndarray
    probabilities: np.ndarray


def heads(codes: str, scores: str, count: int, columns: int = CLASSES + 1) -> list[Head]:
    """Random ones: codes that move boxes about, and a few high probabilities among many low."""
    rng = np.random.default_rng(7)
    made = []
    for _ in range(count):
        real = rng.normal(0, 2, (1, len(ANCHORS), 4)).astype(np.float32)
        shares = sigmoid(rng.normal(-2.5, 2, (1, len(ANCHORS), columns)).astype(np.float32))
        raw = []
        for values, dtype, (step, zero) in ((real, codes, CODE_STEP), (shares, scores, SCORE_STEP)):
            raw.append(np.rint(values / step + zero).clip(0, 255).astype(np.uint8) if dtype == "uint8" else values)
        if codes == "uint8":
            real = dequantize(raw[0], float(CODE_STEP[0]), CODE_STEP[1])
        if scores == "uint8":
            shares = dequantize(raw[1], float(SCORE_STEP[0]), SCORE_STEP[1])
        made.append(Head(raw, real, shares))
    return made


def four(outputs: Sequence[np.ndarray]) -> FourOutputs:
    """The operator's outputs in its order."""
    boxes, classes, scores, count = outputs
    return FourOutputs(boxes=boxes, classes=classes, scores=scores, count=count)


def stored(anchors: np.ndarray, codes: str) -> np.ndarray:
    """The anchors as the file holds them."""
    if codes == "float32":
        return anchors
    step = np.float32(anchors.max() / 255)
    return dequantize(np.rint(anchors / step).astype(np.uint8), float(step), 0)


def operator_alone(codes: str, scores: str, options: PostProcess, columns: int = CLASSES + 1) -> bytes:
    """A file with nothing but the operator: its inputs are the file's."""
    parameters = {
        name: Quantization(scale=np.array([step]), zero_point=np.array([zero]))
        for name, (step, zero), dtype in (("codes", CODE_STEP, codes), ("scores", SCORE_STEP, scores))
        if dtype == "uint8"
    }
    tensors = [
        Tensor(name="codes", shape=(1, len(ANCHORS), 4), dtype=codes, quantization=parameters.get("codes")),
        Tensor(name="scores", shape=(1, len(ANCHORS), columns), dtype=scores, quantization=parameters.get("scores")),
    ]
    names = tuple(tensor.name for tensor in tensors)
    graph = Graph(
        name="alone",
        layout="nhwc",
        operators=(),
        tensors={tensor.name: tensor for tensor in tensors},
        inputs=names,
        outputs=names,
    )
    return with_detection_postprocess(tflite_bytes(graph), ANCHORS, options)


def rows(outputs: FourOutputs) -> np.ndarray:
    """Scores, classes and boxes of what was found, in an order that does not depend on how equal ones are sorted."""
    count = round(float(outputs.count[0]))
    table = np.column_stack([outputs.scores[0, :count], outputs.classes[0, :count], outputs.boxes[0, :count]])
    return table[np.lexsort([*table[:, :1:-1].round(4).T, table[:, 1], table[:, 0]])]


def assert_alike(found: FourOutputs, expected: FourOutputs, boxes_within: float) -> None:
    """The same detections with the same scores; the best first."""
    assert found.count.tolist() == expected.count.tolist()
    count = round(float(found.count[0]))
    assert (np.diff(found.scores[0, :count]) <= 0).all()
    ours, theirs = rows(expected), rows(found)
    assert np.array_equal(theirs[:, :2], ours[:, :2])
    assert np.abs(theirs[:, 2:] - ours[:, 2:]).max(initial=0.0) <= boxes_within


@pytest.mark.unhurried
@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize(("codes", "scores"), FORMS)
def test_a_thousand_random_heads_give_what_numpy_gives(codes: str, scores: str, regular: bool, tmp_path: Path) -> None:
    """Boxes to the last bit; detections of equal scores in any order, so `most` lets them all through."""
    options = PostProcess(classes=CLASSES, most=400, per_class=200, regular=regular)
    path = tmp_path / "model.tflite"
    path.write_bytes(operator_alone(codes, scores, options))
    session = open_litert(path)
    anchors, total = stored(ANCHORS, codes), 0
    count = FORMS[codes, scores]
    for head in heads(codes, scores, count):
        found = four(session.run(head.raw))
        expected = post_process(head.codes, head.probabilities, anchors, options)
        assert_alike(found, expected, boxes_within=0.0)
        total += int(found.count[0])
    assert total > 10 * count


@pytest.mark.parametrize("regular", [True, False])
def test_what_is_cut_is_the_worst(regular: bool, tmp_path: Path) -> None:
    """Float scores are never equal here: the few best are the same ones, in the same order."""
    options = PostProcess(classes=CLASSES, most=7, per_class=3, regular=regular, threshold=0.1, overlap=0.3)
    path = tmp_path / "model.tflite"
    path.write_bytes(operator_alone("float32", "float32", options))
    session = open_litert(path)
    for head in heads("float32", "float32", 50):
        found = four(session.run(head.raw))
        expected = post_process(head.codes, head.probabilities, ANCHORS, options)
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.classes, expected.classes)
        np.testing.assert_array_equal(found.boxes, expected.boxes)


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("side", [-1000.0, 1000.0])
def test_boxes_without_area_and_without_bounds_suppress_nothing(side: float, regular: bool, tmp_path: Path) -> None:
    """A third of all boxes, their sides' exponentials beyond what float32 holds."""
    options = PostProcess(classes=CLASSES, most=400, per_class=200, regular=regular)
    path = tmp_path / "model.tflite"
    path.write_bytes(operator_alone("float32", "float32", options))
    session = open_litert(path)
    for head in heads("float32", "float32", 20):
        head.codes[:, ::3, 2:] = side
        found = four(session.run([head.codes, head.probabilities]))
        expected = post_process(head.codes, head.probabilities, ANCHORS, options)
        assert found.count.tolist() == expected.count.tolist()
        np.testing.assert_array_equal(rows(found)[:, :2], rows(expected)[:, :2])


@pytest.mark.parametrize("regular", [True, False])
def test_without_a_background_column_the_first_is_a_class(regular: bool, tmp_path: Path) -> None:
    options = PostProcess(classes=CLASSES, most=100, regular=regular)
    path = tmp_path / "model.tflite"
    path.write_bytes(operator_alone("float32", "float32", options, columns=CLASSES))
    session = open_litert(path)
    for head in heads("float32", "float32", 20, columns=CLASSES):
        found = four(session.run(head.raw))
        assert_alike(found, post_process(head.codes, head.probabilities, ANCHORS, options), boxes_within=0.0)


def test_our_own_decoding_of_logits_is_the_regular_mode(tmp_path: Path) -> None:
    """The integer threshold on logits, decoding of survivors alone, against the operator behind a sigmoid."""
    rng = np.random.default_rng(3)
    options, chosen = PostProcess(classes=CLASSES), Selection()
    told = Heads(
        codes=Port(name="c", shape=(1, len(ANCHORS), 4), dtype="int8", scale=0.05, zero_point=-7),
        logits=Port(name="l", shape=(1, len(ANCHORS), CLASSES + 1), dtype="int8", scale=0.06, zero_point=30),
        anchors=ANCHORS,
        coder=BoxCoder(),
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(operator_alone("float32", "float32", options))
    session = open_litert(path)
    for _ in range(50):
        codes, logits = (rng.integers(-128, 128, port.shape).astype(np.int8) for port in (told.codes, told.logits))
        logits = np.minimum(logits, rng.integers(-128, 128, logits.shape)).astype(np.int8)
        found = told.found(codes, logits, chosen)
        real = dequantize(codes, told.codes.scale, told.codes.zero_point)
        shares = sigmoid(dequantize(logits, told.logits.scale, told.logits.zero_point))
        expected = four(session.run([real, shares])).detections
        np.testing.assert_array_equal(found.scores, expected.scores)
        ours, theirs = (
            sorted(zip(part.scores.tolist(), part.labels.tolist(), part.boxes.tolist(), strict=True))
            for part in (found, expected)
        )
        last = ours[0][0] if len(ours) == options.most else -1.0  # equal scores at the cut may be others
        assert [row for row in ours if row[0] > last] == [row for row in theirs if row[0] > last]


RUN = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
given = np.load(sys.argv[2])
places = [detail["index"] for detail in interpreter.get_input_details()]
results = [detail["index"] for detail in interpreter.get_output_details()]
answers = [[] for _ in results]
for index in range(len(given["codes"])):
    interpreter.set_tensor(places[0], given["codes"][index])
    interpreter.set_tensor(places[1], given["scores"][index])
    interpreter.invoke()
    for kept, result in zip(answers, results):
        kept.append(interpreter.get_tensor(result))
np.savez(sys.argv[3], *[np.stack(kept) for kept in answers])
"""


@pytest.mark.unhurried
@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize(("codes", "scores"), FORMS)
def test_tflite_runtime_gives_the_same(
    codes: str, scores: str, regular: bool, tflite_runtime_python: str, tmp_path: Path
) -> None:
    """Its older kernel decodes in float32: boxes are within some last bits."""
    options = PostProcess(classes=CLASSES, most=400, per_class=200, regular=regular)
    path = tmp_path / "model.tflite"
    path.write_bytes(operator_alone(codes, scores, options))
    given = heads(codes, scores, FORMS[codes, scores])
    np.savez(
        tmp_path / "in.npz", **{k: np.stack([head.raw[i] for head in given]) for i, k in enumerate(("codes", "scores"))}
    )
    command = [tflite_runtime_python, "-c", RUN, path, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run(command, check=True, capture_output=True)
    answers = np.load(tmp_path / "out.npz")
    anchors = stored(ANCHORS, codes)
    for index, head in enumerate(given):
        found = four([answers[f"arr_{place}"][index] for place in range(4)])
        assert_alike(found, post_process(head.codes, head.probabilities, anchors, options), boxes_within=2e-6)


def test_the_file_says_what_hosts_look_for() -> None:
    options = PostProcess(classes=CLASSES, most=25, coder=BoxCoder(y_scale=9.0))
    model = schema().ModelT.InitFromPackedBuf(operator_alone("float32", "uint8", options))
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    assert [code.customCode for code in model.operatorCodes] == [CODE.encode()]
    told = [graph.tensors[index] for index in graph.outputs]
    assert [tensor.name.decode() for tensor in told] == [CODE, f"{CODE}:1", f"{CODE}:2", f"{CODE}:3"]
    assert [tensor.shape.tolist() for tensor in told] == [[1, 25, 4], [1, 25], [1, 25], [1]]
    names = ["detection_boxes", "detection_classes", "detection_scores", "num_detections"]
    assert [entry.name.decode() for entry in signature.outputs] == names
    read: dict[str, Any] = flexbuffers.Loads(bytes(graph.operators[0].customOptions))
    assert read["num_classes"] == CLASSES and read["max_detections"] == 25 and read["use_regular_nms"] is True
    assert read["y_scale"] == 9 and read["nms_iou_threshold"] == pytest.approx(0.6) and len(json.dumps(read)) > 100
    assert list(read) == sorted(read)


def test_the_same_graph_gives_the_same_bytes_and_the_file_reads_back() -> None:
    data = operator_alone("float32", "uint8", PostProcess(classes=CLASSES))
    assert data == operator_alone("float32", "uint8", PostProcess(classes=CLASSES))
    graph = read_tflite(data)
    assert [operator.kind for operator in graph.operators] == [CODE] and len(graph.outputs) == 4


def two_heads(dtype: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> Graph:
    """A graph whose outputs are its inputs."""
    step = Quantization(scale=np.array([0.05], np.float32), zero_point=np.array([3])) if dtype != "float32" else None
    tensors = {
        name: Tensor(name=name, shape=shape, dtype=dtype, quantization=step)
        for name, shape in zip(("codes", "logits"), shapes, strict=True)
    }
    return Graph(
        name="heads", layout="nhwc", operators=(), tensors=tensors, inputs=tuple(tensors), outputs=tuple(tensors)
    )


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_raw_heads_end_as_the_operator_takes_them(dtype: str, tmp_path: Path) -> None:
    """int8: DEQUANTIZE, LOGISTIC, QUANTIZE; float: LOGISTIC. The whole file gives numpy's answer."""
    shapes = ((1, len(ANCHORS), 4), (1, len(ANCHORS), CLASSES + 1))
    graph = detection_ending(two_heads(dtype, shapes))
    kinds = ["Dequantize", "Sigmoid", "Quantize"] if dtype == "int8" else ["Sigmoid"]
    assert [operator.kind for operator in graph.operators] == kinds
    options = PostProcess(classes=CLASSES, most=400, per_class=200)
    path = tmp_path / "model.tflite"
    path.write_bytes(with_detection_postprocess(tflite_bytes(graph), ANCHORS, options))
    rng = np.random.default_rng(1)
    if dtype == "int8":
        raw = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
        codes, logits = (dequantize(part, 0.05, 3) for part in raw)
        shares = (np.rint(sigmoid(logits) * 256).clip(0, 255) / 256).astype(np.float32)
    else:
        raw = [rng.normal(-1, 2, shape).astype(np.float32) for shape in shapes]
        codes, shares = raw[0], sigmoid(raw[1])
    found = four(open_litert(path).run(raw))
    expected = post_process(codes, shares, ANCHORS, options)
    assert found.count.tolist() == expected.count.tolist() and found.count[0] > 20
    np.testing.assert_allclose(rows(found), rows(expected), atol=2e-6)


@pytest.mark.parametrize(
    ("shapes", "dtype", "message"),
    [
        (((1, 9, 4), (1, 8, 3)), "int8", "post-processing needs"),
        (((1, 9, 5), (1, 9, 3)), "int8", "post-processing needs"),
        (((1, 9, 4), (1, 9)), "float32", "post-processing needs"),
        (((1, 9, 4), (1, 9, 3)), "uint8", "takes both as int8, or both as float32"),
    ],
)
def test_other_endings_are_refused(shapes, dtype: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        detection_ending(two_heads(dtype, shapes))


@pytest.mark.parametrize(
    ("dtype", "classes", "count", "message"),
    [
        ("float32", CLASSES + 3, len(ANCHORS), "7 columns of probabilities for 9 classes"),
        ("float32", CLASSES, 7, "for 7 anchors; expected"),
        ("int8", CLASSES, len(ANCHORS), "reads float32 and uint8 alone"),
    ],
)
def test_what_the_operator_cannot_take_is_refused(dtype: str, classes: int, count: int, message: str) -> None:
    graph = two_heads(dtype, ((1, len(ANCHORS), 4), (1, len(ANCHORS), CLASSES + 1)))
    with pytest.raises(UsageError, match=message):
        with_detection_postprocess(tflite_bytes(graph), ANCHORS[:count], PostProcess(classes=classes))


@pytest.mark.parametrize("changes", [{"classes": 0}, {"most": 0}, {"per_class": 0}, {"overlap": 0.0}, {"overlap": 1.1}])
def test_options_that_cannot_hold_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PostProcess(**{"classes": CLASSES, **changes})
