"""What a detector's operator did not write this time is 0, not what an earlier image left."""

from pathlib import Path

import numpy as np
import pytest

from converters.tflite.detection_postprocess import with_detection_postprocess
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import LiteRtSession, open_litert
from edge.graph.graph import Graph, Operator, Tensor
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.tflite_detections import PostProcess

ANCHORS = anchor_boxes(ssd_grid(((3, 3), (2, 2))))
SHAPE = (1, len(ANCHORS), 4)


@pytest.mark.parametrize("regular", [True, False])
def test_an_answer_does_not_depend_on_the_one_before(tmp_path: Path, regular: bool) -> None:
    tensors = [Tensor(name=name, shape=SHAPE, dtype="float32") for name in ("c", "s", "codes", "scores")]
    operators = (
        Operator(kind="Abs", name="abs", inputs=("c",), outputs=("codes",)),
        Operator(kind="Sigmoid", name="sigmoid", inputs=("s",), outputs=("scores",)),
    )
    graph = Graph(
        name="heads",
        layout="nhwc",
        operators=operators,
        tensors={tensor.name: tensor for tensor in tensors},
        inputs=("c", "s"),
        outputs=("codes", "scores"),
    )
    options = PostProcess(classes=3, most=10, regular=regular, threshold=0.6)
    path = tmp_path / "detector.tflite"
    path.write_bytes(with_detection_postprocess(tflite_bytes(graph), ANCHORS, options))
    random = np.random.default_rng(0)
    codes = random.normal(0, 1, SHAPE).astype(np.float32)
    many, few = random.normal(2, 1, SHAPE).astype(np.float32), np.full(SHAPE, -5, np.float32)
    few[0, 4, 2] = 3
    session = open_litert(path)
    assert isinstance(session, LiteRtSession) and session.selected == (0, 1, 2, 3)
    fresh = session.run([codes, few])
    assert session.run([codes, many])[3][0] == 10
    again = session.run([codes, few])
    count = int(again[3][0])
    assert count == 1
    for first, second in zip(fresh, again, strict=True):
        np.testing.assert_array_equal(first, second)
    for array in again[:3]:
        assert array[:, :count].any() and not array[:, count:].any()
