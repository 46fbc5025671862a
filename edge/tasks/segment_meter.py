"""The meter of segmentation: what only an evaluation needs, and no device."""

from typing import Any

import numpy as np

from edge.data.splits import Split
from edge.evaluation.boundaries import CITYSCAPES_RATIO, COCO_RATIO, count_maps, mean_share
from edge.evaluation.chance import mean_iou_lower
from edge.tasks.task import Array, Pixels

RATIOS = (CITYSCAPES_RATIO, COCO_RATIO)


class MapMeter:
    """Mean IoU over masks (`Split.mask`), and Boundary IoU; pixels that are void, or not seen, do not count."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._right: list[Array] = []  # by image, (areas and the bands of each ratio, classes)
        self._union: list[Array] = []

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one class map of the mask's size."""
        truth = self._split.mask(index, self._split.image(index) if image is None else image)
        right, union = count_maps(truth, values, len(self._split.classes), RATIOS, self._split.ignore_index)
        self._right.append(right)
        self._union.append(union)

    def figures(self) -> dict[str, Any]:
        """Shares in [0, 1]; by class None where neither truth nor prediction has it.

        `miou`, `iou` by class, `pixel_accuracy`; `boundary_miou` and `boundary_iou` by class at Cityscapes' dilation
        ratio, `boundary_miou_coco` at COCO's.
        """
        right, union = self._pooled
        labelled = int(union[0].sum() + right[0].sum()) // 2  # a wrong pixel stands in two unions, a right one in one
        return {
            "miou": mean_share(right[0], union[0]),
            "boundary_miou": mean_share(right[1], union[1]),
            "boundary_miou_coco": mean_share(right[2], union[2]),
            "pixel_accuracy": int(right[0].sum()) / labelled if labelled else float("nan"),
            "iou": self._by_class(right[0], union[0]),
            "boundary_iou": self._by_class(right[1], union[1]),
        }

    def _by_class(self, right: Array, union: Array) -> dict[str, float | None]:
        pairs = zip(self._split.classes, right, union, strict=True)
        return {name: float(one / all_) if all_ else None for name, one, all_ in pairs}

    @property
    def _pooled(self) -> tuple[Array, Array]:
        """Intersections and unions of all images, int64 (1 + ratios, classes)."""
        empty = np.zeros((1 + len(RATIOS), len(self._split.classes)), np.int64)
        return sum(self._right, start=empty), sum(self._union, start=empty)

    @property
    def value(self) -> float:
        """Mean IoU."""
        right, union = self._pooled
        return mean_share(right[0], union[0])

    @property
    def lower(self) -> float:
        """By drawing images again; 0 without any."""
        if not self._right:
            return 0.0
        return mean_iou_lower(np.array(self._right)[:, 0], np.array(self._union)[:, 0])

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """None: a pixel has one class."""
        return {}
