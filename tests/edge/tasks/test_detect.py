"""The task `detect`: boxes in pixels of the frame, the same in a prediction, in values and in decisions."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edge.errors import EngineError, UsageError
from edge.port import DescribedPort
from edge.tasks.detect import DETECT, BoxPrediction
from edge.tasks.task import Asked, ModelFacts
from edge.vision.anchors import ssd_grid
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Detections, Selection
from edge.vision.detector import Detector
from edge.vision.frame import Region
from edge.vision.overlay import PLAIN, Style
from edge.vision.pixels import Geometry

GRID = ssd_grid([(4, 4), (2, 2)])
NAMES = ("Platelets", "RBC", "WBC")


def facts(fit: str = "stretch", **selection: float) -> ModelFacts:
    def port(name: str, columns: int, meaning: str, scores: str | None) -> DescribedPort:
        shape = (1, GRID.count, columns)
        return DescribedPort(name=name, shape=shape, dtype="float32", layout="nac", meaning=meaning, scores=scores)

    geometry = Geometry(
        colour_order="rgb",
        height=64,
        width=64,
        interpolation="bilinear",
        fit=fit,  # type: ignore[arg-type]
        crop_fraction=1.0,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
    )
    chosen = Selection(**{"threshold": 0.3, **selection})  # type: ignore[arg-type]
    return ModelFacts(
        outputs=(port("codes", 4, "box_codes", None), port("scores", 4, "logits", "independent")),
        names=NAMES,
        preprocess=geometry,
        detection=Detector(form="ssd", anchors=GRID, coder=BoxCoder(), background=0, selection=chosen),
    )


def outputs(**probabilities: float) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the anchors themselves, and the probability of a class (1 RBC) at an anchor by `aROW`."""
    logits = np.full((1, GRID.count, 4), -9.0, np.float32)
    for name, probability in probabilities.items():
        logits[0, int(name[1:]), 2] = np.log(probability / (1 - probability))
    return np.zeros((1, GRID.count, 4), np.float32), logits


def test_boxes_are_in_pixels_of_the_frame_whatever_the_fit() -> None:
    """The anchor 48 is a square of 0.95 at (0.25, 0.25) of the input: clipped to 0..0.725 of its sides."""
    found = DETECT.predict(outputs(a48=0.9), facts(), (100, 200)).boxes
    assert np.allclose(found.boxes, [[0, 0, 145, 72.5]])
    assert found.labels.tolist() == [1] and found.scores == pytest.approx([0.9])
    # Letterboxed, the 200 x 100 frame lies between rows 16 and 48 of the input's 64: its top is 16 rows below 0.
    boxed = DETECT.predict(outputs(a48=0.9), facts("letterbox"), (100, 200)).boxes
    assert np.allclose(boxed.boxes, [[0, 0, 145, (0.725 * 64 - 16) * 100 / 32]])


def test_boxes_of_a_region_lie_in_the_frame() -> None:
    alone = DETECT.predict(outputs(a48=0.9), facts(), (100, 200)).boxes
    seen = DETECT.predict(outputs(a48=0.9), facts(), (300, 400), Asked(region=Region(30, 50, 100, 200)))
    np.testing.assert_array_equal(seen.boxes.boxes, alone.boxes + np.array([50, 30] * 2))
    assert seen.frame_hw == (300, 400)
    with pytest.raises(ValueError, match="read-only"):
        seen.boxes.boxes[0, 0] = 0


def test_a_call_has_a_threshold_and_a_number_of_its_own() -> None:
    told, known = outputs(a0=0.9, a20=0.35, a40=0.2), facts(most=2, most_candidates=2)
    for asked, scores in (({"threshold": 0.5}, [0.9]), ({"threshold": 0.1, "top_k": 3}, [0.9, 0.35, 0.2])):
        found = DETECT.predict(told, known, (64, 64), Asked(**asked)).boxes  # type: ignore[arg-type]
        assert found.scores == pytest.approx(scores)
    assert len(DETECT.predict(told, known, (64, 64), Asked(top_k=1)).boxes.scores) == 1


def test_values_go_down_to_the_tail_and_decisions_are_the_prediction() -> None:
    told, known = outputs(a0=0.9, a20=0.35, a40=0.2, a47=0.005), facts()
    values = DETECT.values(told, known, (64, 64))
    assert values.dtype == np.float64 and values.shape == (3, 6)
    assert values[:, 4] == pytest.approx([0.9, 0.35, 0.2])
    decided = DETECT.decisions(values, known)
    found = DETECT.predict(told, known, (64, 64)).boxes
    assert np.array_equal(decided[:, :4], found.boxes)
    assert np.array_equal(decided[:, 4], found.scores) and np.array_equal(decided[:, 5], found.labels)
    assert len(DETECT.decisions(values, facts(most=1))) == 1


def test_nothing_found_is_an_empty_table_and_said() -> None:
    told, known = outputs(), facts()
    assert DETECT.values(told, known, (64, 64)).shape == (0, 6)
    prediction = DETECT.predict(told, known, (64, 64))
    assert DETECT.line(prediction) == "no box"
    assert DETECT.plain(prediction) == {"boxes": []}
    blank = np.zeros((64, 64, 3), np.uint8)
    assert np.array_equal(DETECT.draw(blank, prediction, PLAIN), blank)


def prediction(labels: list[int]) -> BoxPrediction:
    count = len(labels)
    boxes = np.array([[10, 20, 40, 60]] * count, np.float32)
    scores = np.linspace(0.9, 0.5, count, dtype=np.float32)
    return BoxPrediction(
        boxes=Detections(boxes=boxes, scores=scores, labels=np.array(labels)), names=NAMES, frame_hw=(80, 100)
    )


def test_a_line_counts_the_classes_the_commonest_first() -> None:
    assert DETECT.line(prediction([2, 1, 1, 1])) == "3 RBC, 1 WBC"


def test_plain_data_hold_class_score_and_corners() -> None:
    told = DETECT.plain(prediction([2]))
    (box,) = json.loads(json.dumps(told))["boxes"]
    assert box == {"index": 2, "name": "WBC", "score": 0.9, "x0": 10.0, "y0": 20.0, "x1": 40.0, "y1": 60.0}


def test_boxes_are_drawn_where_they_are_also_on_an_enlarged_frame() -> None:
    red = ((0, 0, 0), (255, 0, 0), (0, 0, 0))
    for factor in (1, 4):
        frame = np.full((80 * factor, 100 * factor, 3), 128, np.uint8)
        drawn = DETECT.draw(frame, prediction([1]), Style(palette=red))
        assert np.array_equal(frame, np.full_like(frame, 128))  # the frame itself stays
        assert drawn[40 * factor, 10 * factor].tolist() == [255, 0, 0]  # the left edge
        assert drawn[59 * factor, 25 * factor].tolist() in ([255, 0, 0], [128, 128, 128])
        assert drawn[40 * factor, 25 * factor].tolist() == [128, 128, 128]  # within
        assert (drawn[:, 45 * factor + 80 :] == 128).all()


def test_a_detector_of_which_nothing_says_how_it_ends_is_refused() -> None:
    known = facts()
    bare = ModelFacts(outputs=known.outputs, names=NAMES, preprocess=known.preprocess)
    with pytest.raises(UsageError, match="nothing says how its outputs become boxes"):
        DETECT.predict(outputs(), bare, (64, 64))


@pytest.mark.parametrize(("label", "told"), [(3, "3"), (-1, "-1"), (np.nan, "-1")])
def test_a_class_without_a_name_is_refused(label: float, told: str) -> None:
    """Of a file that selects its boxes itself, and may answer anything."""
    shapes = {"boxes": (1, 2, 4), "classes": (1, 2), "scores": (1, 2), "count": (1,)}
    ports = tuple(
        DescribedPort(name=name, shape=shape, dtype="float32", layout="flat", meaning=name)
        for name, shape in shapes.items()
    )
    selected = replace(facts(), outputs=ports)
    raw = [np.full(shape, 0.5, np.float32) for shape in shapes.values()]
    raw[1][:], raw[3][:] = label, 2
    with pytest.raises(EngineError, match=f"answers class {told}, and there are 3 names"):
        DETECT.predict(raw, selected, (64, 64))
