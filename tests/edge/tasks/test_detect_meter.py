"""The meter of detection counts what it was given, image by image, in any order."""

import math

import numpy as np
import pytest

from edge.data.boxes import Box, BoxTarget
from edge.data.splits import Sample, Split
from edge.tasks.detect_meter import BoxMeter

pytestmark = pytest.mark.extra  # faster-coco-eval

BOXES = (
    (Box(0, 0, 20, 20, 0), Box(40, 40, 60, 80, 1)),
    (Box(10, 10, 50, 50, 0), Box(0, 0, 9, 9, 0, ignored=True)),
    (),
)


def split(targets: tuple[tuple[Box, ...], ...] = BOXES) -> Split:
    samples = [
        Sample(name=f"{k}.png", image=lambda: np.zeros((90, 90, 3), np.uint8), target=BoxTarget(boxes))
        for k, boxes in enumerate(targets)
    ]
    return Split(samples=tuple(samples), task="detect", classes=("cat", "dog"))


def found(boxes: tuple[Box, ...], score: float = 0.5) -> np.ndarray:
    return np.array([[*box[:4], score, box.label] for box in boxes], np.float64).reshape(-1, 6)


def test_what_is_there_reaches_1_in_any_order_and_a_miss_changes_the_figures() -> None:
    meter = BoxMeter(split())
    for index in (2, 0, 1):
        meter.add(index, found(BOXES[index]))
    assert meter.value == meter.figures()["map"] == pytest.approx(1.0)
    assert 0.9 < meter.lower <= 1.0 + 1e-12
    assert [entry["boxes"] for entry in meter.figures()["per_class"].values()] == [2, 1]
    assert meter.labels == {}
    meter.add(0, found(()))
    assert meter.value < 0.9 and meter.figures()["per_class"]["dog"]["boxes"] == 2


def test_without_a_box_anywhere_the_value_is_unknown() -> None:
    meter = BoxMeter(split(((), ())))
    meter.add(0, found(BOXES[0]))
    meter.add(1, found(()))
    assert math.isnan(meter.value) and meter.figures()["map"] is None and meter.lower == 0.0
