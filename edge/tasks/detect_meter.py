"""The meter of detection: what only an evaluation needs, and no device."""

from math import nan
from typing import Any

from edge.data.boxes import BoxArrays
from edge.data.splits import Split
from edge.evaluation.chance import bootstrap_lower
from edge.evaluation.detection import coco_package, detection_figures, mean_precision
from edge.tasks.task import Array, Pixels


class BoxMeter:
    """Average precision over boxes (`Split.boxes`), as COCO counts it; what was found is kept until it is asked."""

    def __init__(self, split: Split) -> None:
        coco_package()
        self._split = split
        self._found: list[Array] = []
        self._truth: list[BoxArrays] = []
        self._figures: dict[str, Any] | None = None

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one image's detections, float (n, 6): x0 y0 x1 y1 in its pixels, score, label."""
        self._found.append(values)
        self._truth.append(self._split.boxes(index))
        self._figures = None

    def figures(self) -> dict[str, Any]:
        """Shares in [0, 1]; None where no image has such a box.

        `map` (AP .50:.95: mean over the thresholds 0.50 to 0.95 and the classes), `ap50`, `ap75`; `ap_small`,
        `ap_medium`, `ap_large` by the box's area in pixels of the image (32 and 96 squared part them); `recall` (AR:
        the highest recall at 100 detections per class and image, mean over thresholds and classes); `per_class`: by
        name `ap`, `ap50` and how many `boxes` there are to be found.
        """
        if self._figures is None:
            self._figures = detection_figures(self._found, self._truth, self._split.classes)
        return self._figures

    @property
    def value(self) -> float:
        """AP .50:.95; nan where no image has a box."""
        found = self.figures()["map"]
        return nan if found is None else float(found)

    @property
    def lower(self) -> float:
        """By drawing images again; 0 without any."""
        metric = mean_precision(self._found, self._truth, len(self._split.classes))
        return bootstrap_lower(len(self._found), metric)

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """None: boxes have one class each."""
        return {}
