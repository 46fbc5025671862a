"""Decisions of a model, its score on a labelled split, and how often it decides as the float parent does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact import TensorInfo
from edge.evaluation.classification import ClassificationMeter
from edge.evaluation.segmentation import ConfusionMatrix
from edge.quantization.verification.images import Images
from edge.vision.postprocess import frame_class_map

Array = npt.NDArray[Any]
NOT_SEEN = 255
METRICS: Mapping[str, str] = {"classify": "top1", "segment": "miou"}


class Participant:
    """One way of running the model (simulation, a runtime, the float parent) with what it decided so far."""

    def __init__(self, subject: str, images: Images) -> None:
        self.subject = subject
        self._images = images
        self._task = images.artifact.manifest.task
        self._ranking = ClassificationMeter()
        classes = len(images.split.classes) if images.split is not None and images.split.classes else 1
        self._confusion = ConfusionMatrix(max(classes, 1), NOT_SEEN)
        self.decided: dict[int, Array] = {}
        self._equal = 0
        self._compared = 0

    def add(self, index: int, output: Array, info: TensorInfo) -> None:
        """Take one image's first output (batch 1), raw, as `info` describes it."""
        if self._task == "classify":
            scores = output.reshape(1, -1)
            self.decided[index] = scores.argmax(axis=1)
            if self._images.labelled and self._images.split is not None:
                self._ranking.add(scores, np.array([self._images.split.label(index)]))
        elif self._task == "segment":
            self._add_map(index, output, info)

    def _add_map(self, index: int, output: Array, info: TensorInfo) -> None:
        preprocess, split = self._images.artifact.manifest.preprocess, self._images.split
        mask = split.mask(index, split.image(index)) if self._images.labelled and split is not None else None
        if mask is None:
            frame_hw = (preprocess.height, preprocess.width) if split is None else split.image(index).shape[:2]
        else:
            frame_hw = mask.shape
        layout: Any = info.layout
        meaning: Any = info.meaning
        found = frame_class_map(output, meaning, layout, (frame_hw[0], frame_hw[1]), preprocess, outside=NOT_SEEN)
        self.decided[index] = found
        if mask is not None and split is not None:
            truth = np.where(mask == split.ignore_index, NOT_SEEN, mask) if split.ignore_index is not None else mask
            self._confusion.add(np.where(found == NOT_SEEN, NOT_SEEN, truth).astype(np.uint8), found)

    def compare(self, parent: "Participant", index: int) -> None:
        """Count the decisions about one image that equal the parent's, and forget both."""
        mine = self.decided.pop(index, None)
        theirs = parent.decided.get(index)
        if mine is not None and theirs is not None and mine.shape == theirs.shape:
            self._equal += int((mine == theirs).sum())
            self._compared += mine.size

    @property
    def value(self) -> float | None:
        """Top-1 or mean IoU so far, in [0, 1]; None without labels."""
        if not self._images.labelled:
            return None
        if self._task == "classify":
            return self._ranking.score().top1
        return self._confusion.score().mean_iou if self._task == "segment" else None

    @property
    def agreement(self) -> float | None:
        """Share of decisions (images or pixels) equal to the parent's; None if there was no parent."""
        return self._equal / self._compared if self._compared else None
