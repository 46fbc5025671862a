"""Scenes of coloured rectangles and their boxes: what a detector of a few thousand weights can learn in seconds."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import Box, BoxTarget
from edge.data.splits import Sample, Split

COLOURS = ((220, 40, 40), (40, 60, 220))
CLASSES = ("red", "blue")


def box_split(count: int, size_hw: tuple[int, int] = (96, 128), *, seed: int = 0) -> Split:
    """Scenes of one to three rectangles on noise; the last one is empty where there are three scenes or more."""
    samples = []
    for index in range(count):
        boxes = () if count > 2 and index == count - 1 else _boxes(size_hw, np.random.default_rng((seed, index)))
        name = f"scene{index}"
        samples.append(Sample(name=name, image=_drawn(boxes, size_hw, index), target=BoxTarget(boxes)))
    return Split(samples=tuple(samples), task="detect", classes=CLASSES, origin="rectangles")


def _boxes(size_hw: tuple[int, int], rng: np.random.Generator) -> tuple[Box, ...]:
    height, width = size_hw
    boxes: list[Box] = []
    for _ in range(int(rng.integers(1, 4))):
        h, w = (int(side * rng.uniform(0.2, 0.45)) for side in size_hw)
        top, left = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        box = Box(left, top, left + w, top + h, int(rng.integers(0, len(CLASSES))))
        if all(box.x1 <= b.x0 or b.x1 <= box.x0 or box.y1 <= b.y0 or b.y1 <= box.y0 for b in boxes):
            boxes.append(box)
    return tuple(boxes)


def _drawn(boxes: tuple[Box, ...], size_hw: tuple[int, int], seed: int) -> Callable[[], NDArray[np.uint8]]:
    def draw() -> NDArray[np.uint8]:
        image = np.random.default_rng(seed).integers(90, 150, (*size_hw, 3), dtype=np.uint8)
        for box in boxes:
            image[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = COLOURS[box.label]
        return image

    return draw
