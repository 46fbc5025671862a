"""Decisions of a model, its score on a labelled split, and how often it decides as the float parent does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact, TensorInfo
from edge.artifact.output_form import has_independent_labels
from edge.evaluation.chance import mean_iou_lower, wilson_lower
from edge.evaluation.classification import ClassificationMeter
from edge.evaluation.multi_label import MultiLabelMeter, label_figures
from edge.evaluation.segmentation import ConfusionMatrix
from edge.verification.checks.images import Images
from edge.vision.postprocess import frame_class_map, ranked_values

Array = npt.NDArray[Any]
NOT_SEEN = 255
METRICS: Mapping[str, str] = {"classify": "top1", "segment": "miou"}
MULTI_LABEL = "mean_average_precision"


def metric_of(artifact: Artifact) -> str | None:
    """The metric by which an artifact is judged; None for a task without one."""
    return MULTI_LABEL if has_independent_labels(artifact.manifest) else METRICS.get(artifact.manifest.task)


class Participant:
    """One way of running the model (simulation, a runtime, the float parent) with what it decided so far."""

    def __init__(self, subject: str, images: Images) -> None:
        self.subject = subject
        self._images = images
        self._task = images.artifact.manifest.task
        classes = len(images.split.classes) if images.split is not None and images.split.classes else 1
        self._ranking = ClassificationMeter()
        self._labels = MultiLabelMeter(classes) if has_independent_labels(images.artifact.manifest) else None
        self._confusion = ConfusionMatrix(max(classes, 1), NOT_SEEN)
        self._right: list[npt.NDArray[np.int64]] = []
        self._union: list[npt.NDArray[np.int64]] = []
        self.decided: dict[int, Array] = {}
        self._equal = 0
        self._compared = 0

    def add(self, index: int, output: Array, info: TensorInfo) -> None:
        """Take one image's first output (batch 1), raw, as `info` describes it."""
        if self._task == "classify":
            values = ranked_values(output, info)[None]
            several = self._labels is not None
            self.decided[index] = values[0] >= 0 if several else values.argmax(axis=1)
            if self._images.labelled and self._images.split is not None:
                if self._labels is None:
                    self._ranking.add(values, np.array([self._images.split.label(index)]))
                else:
                    self._labels.add(values, self._images.split.truth(index)[None])
        elif self._task == "segment":
            self._add_map(index, output, info)

    def _add_map(self, index: int, output: Array, info: TensorInfo) -> None:
        preprocess, split = self._images.artifact.manifest.preprocess, self._images.split
        mask = split.mask(index, split.image(index)) if self._images.labelled and split is not None else None
        if mask is None:
            frame_hw = (preprocess.height, preprocess.width) if split is None else split.image(index).shape[:2]
        else:
            frame_hw = mask.shape
        found = frame_class_map(output, info, (frame_hw[0], frame_hw[1]), preprocess, outside=NOT_SEEN)
        self.decided[index] = found
        if mask is not None and split is not None:
            truth = np.where(mask == split.ignore_index, NOT_SEEN, mask) if split.ignore_index is not None else mask
            one = ConfusionMatrix(self._confusion.classes, NOT_SEEN)
            one.add(np.where(found == NOT_SEEN, NOT_SEEN, truth).astype(np.uint8), found)
            right = np.diagonal(one.counts)
            self._right.append(right)
            self._union.append(one.counts.sum(axis=0) + one.counts.sum(axis=1) - right)
            self._confusion.counts += one.counts

    def compare(self, parent: "Participant", index: int) -> None:
        """Count the decisions about one image that equal the parent's, and forget both."""
        mine = self.decided.pop(index, None)
        theirs = parent.decided.get(index)
        if mine is not None and theirs is not None and mine.shape == theirs.shape:
            self._equal += int((mine == theirs).sum())
            self._compared += mine.size

    @property
    def value(self) -> float | None:
        """Top-1, mean average precision or mean IoU so far, in [0, 1]; None without labels."""
        if not self._images.labelled:
            return None
        if self._labels is not None:
            return self._labels.score().mean_average_precision
        if self._task == "classify":
            return self._ranking.score().top1
        return self._confusion.score().mean_iou if self._task == "segment" else None

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """The figures of independent labels by name, see `label_figures`; empty for others, and without labels."""
        if self._labels is None or not self._images.labelled or self._images.split is None:
            return {}
        return label_figures(self._labels.score(), self._images.split.classes)

    @property
    def lower(self) -> float:
        """The lower end of `value`'s 95 % interval, in [0, 1]; 0 without labels.

        Of mean average precision the value itself: there the interval is that of chance.
        """
        if self._labels is not None:
            return self._labels.score().mean_average_precision
        if self._task == "classify":
            return wilson_lower(self._ranking.first, self._ranking.images)
        return mean_iou_lower(np.array(self._right), np.array(self._union)) if self._right else 0.0

    @property
    def agreement(self) -> float | None:
        """Share of decisions (images or pixels) equal to the parent's; None if there was no parent."""
        return self._equal / self._compared if self._compared else None
