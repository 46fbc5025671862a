"""Who counts the true decisions that `edge quantize --accuracy-floor` asks for, and on which labelled images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.convert.steps import SplitImages
from converters.packaging.description import Description
from edge.data.class_names import ClassNames
from edge.data.model_classes import model_classes, require_model_classes
from edge.data.splits import Split
from edge.errors import UsageError
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.improve import held_out
from edge.quantization.ptq.judge import Judge
from edge.quantization.quantize_graph import with_biases


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Where labels come from.

    Attributes:
        opened: the labelled images, given the model's classes.
        held_out: of them only the calibration images that are held out.
    """

    opened: Callable[[ClassNames], Split]
    held_out: bool


def accuracy_judge(graph: Graph, description: Description, calibration: Split, truth: Truth, source: Path) -> Judge:
    """Who counts true decisions, on the validation images or on the calibration images that are held out.

    Args:
        graph: the float network. calibration: the images that are used. source: where it is from, for messages.

    Raises:
        UsageError: a model whose decisions are not one class per image, images without labels, or of other classes.
    """
    if description.task != "classify" or description.said.scores == "independent":
        kind = "independent labels" if description.task == "classify" else f"'{description.task}'"
        raise UsageError(
            f"--accuracy-floor counts decisions for one class per image, and {source} is for {kind}; take "
            "--agreement-floor"
        )
    split = truth.opened(model_classes(description.labels))
    if not split.has_labels or split.scores == "independent":
        raise UsageError(
            f"--accuracy-floor needs a class per image, and {split.origin} has none: give --labels with --images, or "
            "--validation SPLIT"
        )
    require_model_classes(split, description.labels.names, str(source), independent=False)
    if truth.held_out:
        chosen = {calibration.name(index) for index in held_out(len(calibration))}
        split = split.subset([index for index in range(len(split)) if split.name(index) in chosen])
    labels = np.array([split.label(index) for index in range(len(split))], np.int64)
    images = SplitImages(split=split, preprocess=description.preprocess)
    return Judge(with_biases(prepared(graph)), images, decides=True, labels=labels)
