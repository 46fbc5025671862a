"""One output of boxes and scores side by side, and what a plain reference by loops finds in it."""

from typing import Any

import numpy as np
import pytest

from edge.errors import UsageError
from edge.port import dequantize
from edge.vision.detections import Selection
from edge.vision.plain_boxes import corners
from edge.vision.score_columns import ScoreColumns
from edge.vision.two_output_detections import Plain
from edge.vision.yolo_detections import OneOutput, one_output_detections
from tests.edge.vision.test_two_output_detections import assert_same, by_loops, port

CELLS, CLASSES = 60, 5


@pytest.mark.parametrize("columns_first", [True, False])
@pytest.mark.parametrize("objectness", [True, False])
@pytest.mark.parametrize("values", ["logits", "probabilities"])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_one_output_is_decoded_as_a_loop_does(columns_first: bool, objectness: bool, values: Any, dtype: str) -> None:
    """Centres and sides as shares, and scores, in the one scale that an integer output has."""
    random = np.random.default_rng(4)
    boxes = np.concatenate([random.uniform(0.2, 0.8, (CELLS, 2)), random.uniform(0.1, 0.4, (CELLS, 2))], axis=1)
    scores = random.uniform(0, 1, (CELLS, CLASSES + objectness)) ** 0.7
    scores = np.log(scores / (1 - scores)).clip(-3, 3) if values == "logits" else scores
    real = np.concatenate([boxes, scores], axis=1).astype(np.float32)
    shape = (1, 4 + objectness + CLASSES, CELLS) if columns_first else (1, CELLS, 4 + objectness + CLASSES)
    told = port("y", shape)
    raw = real
    if dtype != "float32":
        low = int(np.iinfo(dtype).min)
        scale, zero = (1 / 256, low) if values == "probabilities" else (6 / 255, low + 127)
        told = port("y", shape, dtype, scale, zero)
        raw = np.clip(np.rint(real / np.float32(scale)) + zero, low, low + 255).astype(dtype)
        real = dequantize(raw, told.scale, told.zero_point)
    table = np.ascontiguousarray(raw.T if columns_first else raw)[None]
    decoder = OneOutput(
        scores=ScoreColumns(port=told, values=values, exclusive=False, background=None),
        decode=Plain(form="cxcywh", extent_wh=(1, 1)),
        columns_first=columns_first,
        objectness=objectness,
    )
    selection = Selection(threshold=0.45, overlap=0.5, most=30)
    shown = 1 / (1 + np.exp(-real[:, 4:].astype(np.float64))) if values == "logits" else real[:, 4:]
    probabilities = shown[:, 1:] * shown[:, :1] if objectness else shown
    whole = corners(real[:, :4], "cxcywh", (1, 1))
    found = one_output_detections(table, decoder, selection)
    assert_same(found, by_loops(whole, probabilities, None, selection))
    assert len(found.scores) > 5


def test_nothing_found_is_nothing() -> None:
    told = port("y", (1, 6, 8), "int8", 1 / 256, -128)
    for objectness in (False, True):
        decoder = OneOutput(
            scores=ScoreColumns(port=told, values="probabilities", exclusive=False, background=None),
            decode=Plain(form="xyxy", extent_wh=(1, 1)),
            columns_first=True,
            objectness=objectness,
        )
        found = one_output_detections(np.full((1, 6, 8), -128, np.int8), decoder, Selection())
        assert found.boxes.shape == (0, 4) and not len(found.scores)


def test_a_shape_without_classes_is_refused() -> None:
    columns = ScoreColumns(port=port("y", (1, 5, 8)), values="logits", exclusive=False, background=None)
    plain = Plain(form="xyxy", extent_wh=(1, 1))
    with pytest.raises(UsageError, match="more than 5 columns"):
        OneOutput(scores=columns, decode=plain, columns_first=True, objectness=True)
