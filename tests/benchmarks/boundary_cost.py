"""What Boundary IoU costs beside mean IoU alone, on CamVid's `val`: `python -m tests.benchmarks.boundary_cost FOLDER`.

Mean IoU alone is a confusion matrix per image. Both count the same class maps of a model that is a little wrong: the
truth two pixels to the side. In turn, several times; the least of each is compared, of processor time. First the
counting alone, masks in memory; then the whole evaluation of the split, which also reads images and masks.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.data.scenes import camvid
from edge.data.splits import Split
from edge.evaluation.boundaries import VOID, count_maps
from edge.evaluation.segmentation import ConfusionMatrix
from edge.tasks.segment_meter import RATIOS, MapMeter
from edge.tasks.task import Array, Pixels


class PlainMeter:
    """Mean IoU alone."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._matrix = ConfusionMatrix(len(split.classes), VOID)

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one class map."""
        self._matrix.counts += plain(self._split, self._split.mask(index, image), values)

    def figures(self) -> dict[str, Any]:
        """Mean IoU."""
        return {"miou": self._matrix.score().mean_iou}


def plain(split: Split, truth: Pixels, values: Pixels) -> Array:
    """One image's confusion matrix."""
    one = ConfusionMatrix(len(split.classes), VOID)
    unknown = (values == VOID) | (truth == split.ignore_index)
    one.add(np.where(unknown, np.uint8(VOID), truth), values)
    return one.counts


def evaluated(split: Split, maps: list[Pixels], meter: Any) -> float:
    """As `edge.tasks.accuracy` does it, with class maps at hand."""
    for index, values in enumerate(maps):
        meter.add(index, values, split.image(index))
    return float(meter.figures()["miou"])


def main() -> None:
    """Print a row for each way of measuring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="CamVid")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    split = camvid(asked.folder, "val")
    masks = [split.mask(index) for index in range(len(split))]
    maps = [np.roll(np.where(mask == split.ignore_index, np.uint8(3), mask), 2, axis=1) for mask in masks]
    pairs = list(zip(masks, maps, strict=True))
    classes, void = len(split.classes), split.ignore_index

    def counted(ratios: tuple[float, ...]) -> Callable[[], Any]:
        return lambda: [count_maps(truth, values, classes, ratios, void) for truth, values in pairs]

    ways: dict[str, Callable[[], Any]] = {
        "counting, mean IoU alone": lambda: [plain(split, truth, values) for truth, values in pairs],
        "counting, and Boundary IoU at 0.005": counted(RATIOS[:1]),
        "counting, and at 0.005 and 0.02": counted(RATIOS),
        "evaluation, mean IoU alone": lambda: evaluated(split, maps, PlainMeter(split)),
        "evaluation, and at 0.005 and 0.02": lambda: evaluated(split, maps, MapMeter(split)),
    }
    assert ways["evaluation, mean IoU alone"]() == ways["evaluation, and at 0.005 and 0.02"]()
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(asked.rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            least[name] = min(least[name], time.process_time() - begun)
    for name, seconds in least.items():
        base = least[f"{name.split(',')[0]}, mean IoU alone"]
        print(f"{name:40s} {1e3 * seconds / len(split):6.2f} ms an image, {seconds / base:.2f} times")


if __name__ == "__main__":
    main()
