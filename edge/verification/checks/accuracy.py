"""Decisions of a model, its score on a labelled split, and how often it decides as the float parent does."""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy.typing as npt

from edge.artifact.manifest import Artifact, has_independent_labels
from edge.artifact.model_file import TensorInfo
from edge.tasks.table import TASKS
from edge.tasks.task import Likeness, Measure, Meter, ModelFacts
from edge.verification.checks.images import Images
from edge.vision.point_rend import Points

Array = npt.NDArray[Any]


def measure_of(artifact: Artifact) -> Measure | None:
    """How an artifact is judged; None for a task without a definition."""
    task = TASKS.get(artifact.manifest.task)
    return None if task is None else task.measure(has_independent_labels(artifact.manifest))


class Participant:
    """One way of running the model (simulation, a runtime, the float parent) with what it decided so far.

    `points`: its point head, where it has one.
    """

    def __init__(self, subject: str, images: Images, points: Points | None = None) -> None:
        self.subject = subject
        self._points = points
        self._images = images
        self._task = TASKS.get(images.artifact.manifest.task)
        detection = images.artifact.manifest.detection
        self._detector = None if detection is None else detection.detector
        self._meter: Meter | None = None
        self.likeness: Likeness | None = None
        measure = measure_of(images.artifact)
        if images.split is not None and images.labelled and measure is not None:
            self._meter = measure.meter(images.split)
        if measure is not None and measure.likeness is not None:
            self.likeness = measure.likeness()
        self.decided: dict[int, Array] = {}
        self._alike = 0
        self._compared = 0

    def add(self, index: int, outputs: Sequence[Array], infos: Sequence[TensorInfo]) -> None:
        """Take one image's outputs (batch 1) that are told, raw, as `infos` describe them."""
        if self._task is None:
            return
        manifest = self._images.artifact.manifest
        told = tuple(info.described for info in infos)
        facts = ModelFacts(
            outputs=told,
            names=manifest.labels.names,
            preprocess=manifest.preprocess,
            detection=self._detector,
            points=self._points,
        )
        values = self._task.values(tuple(outputs), facts, self._images.frame_hw(index))
        self.decided[index] = self._task.decisions(values, facts)
        if self._meter is not None:
            self._meter.add(index, values)

    def compare(self, parent: "Participant", index: int, *, closely: bool = False) -> None:
        """Count the decisions about one image that are as the parent's, and `closely` their likeness; forget mine."""
        mine = self.decided.pop(index, None)
        theirs = parent.decided.get(index)
        if self._task is not None and mine is not None and theirs is not None:
            alike, compared = self._task.alike(theirs, mine)
            self._alike += alike
            self._compared += compared
            if compared and closely and self.likeness is not None:
                self.likeness.add(theirs, mine)

    @property
    def value(self) -> float | None:
        """The metric (`Measure.metric`) so far, in [0, 1]; None without labels, and without any that it counts."""
        found = None if self._meter is None else self._meter.value
        return None if found is None or isnan(found) else found

    @property
    def boundary(self) -> float | None:
        """Boundary IoU so far, in [0, 1]; None without labels, without any class, and of a task that has none."""
        found = None if self._meter is None else self._meter.figures().get("boundary_miou")
        return None if found is None or isnan(found) else float(found)

    @property
    def kept_boundaries(self) -> float | None:
        """Boundary IoU with the parent's answers as the truth, in [0, 1]; None where that was not counted."""
        found = None if self.likeness is None else self.likeness.figures().get("parent_boundary_iou")
        return None if found is None else float(found)

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """The figures of independent labels by name; empty for others, and without labels."""
        return {} if self._meter is None else self._meter.labels

    @property
    def lower(self) -> float:
        """The lower end of `value`'s 95 % interval (`Meter.lower`), in [0, 1]; 0 without labels."""
        return 0.0 if self._meter is None else self._meter.lower

    @property
    def agreement(self) -> float | None:
        """Share of decisions (images, pixels, boxes) as the parent's; None if there was no parent."""
        return self._alike / self._compared if self._compared else None
