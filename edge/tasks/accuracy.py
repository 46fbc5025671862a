"""Accuracy of anything that predicts frames, on a split with targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.data.splits import Split
from edge.errors import UsageError
from edge.tasks.table import TASKS

Pixels = NDArray[np.uint8]
Predict = Callable[[list[Pixels]], list[NDArray[Any]]]
Advance = Callable[[int], None]


def no_progress(count: int) -> None:
    """Tell nobody."""


def accuracy(
    split: Split,
    predict: Predict,
    *,
    batch_size: int = 1,
    independent: bool = False,
    advance: Advance = no_progress,
) -> dict[str, Any]:
    """Ask for a prediction of every image of a split and score it.

    Args:
        predict: from RGB uint8 frames (h, w, 3) of any sizes to what the task counts (`Task.values`): class scores
            (classes,) of any real dtype (an artifact's `ranked_values`), class maps uint8 (h, w) of the frames'
            sizes, 255 where the model saw nothing (those pixels do not count), or boxes (n, 6).
        batch_size: frames per question.
        independent: the scores are of independent labels; the class of an image is then the only one that it has.
        advance: called with the number of images done since the last call.

    Returns:
        Classification: `top1`, `top5`, `balanced_accuracy` in [0, 1]; of independent labels `mean_average_precision`,
        `label_accuracy` and `labels` by name (see `label_figures`).
        Segmentation: `miou` and `pixel_accuracy` in [0, 1], `boundary_miou` and `boundary_miou_coco` (Boundary IoU at
        Cityscapes' and COCO's dilation ratio), and `iou` and `boundary_iou` by class name (None where a class occurs
        neither in truth nor prediction). Detection: see `BoxMeter.figures`. All: `images`, `skipped_damaged` (how many
        were omitted), `split_sha256`.

    Raises:
        UsageError: the split has no targets of a task. DataError: its labels are independent, and the scores are not.
    """
    if split.task not in TASKS:
        raise UsageError(f"{split.origin}: has no labels or masks to evaluate on; give --labels or --masks")
    meter = TASKS[split.task].measure(independent).meter(split)
    for start in range(0, len(split), batch_size):
        indices = range(start, min(start + batch_size, len(split)))
        images = [split.image(index) for index in indices]
        for index, image, values in zip(indices, images, predict(images), strict=True):
            meter.add(index, values, image)
        advance(len(indices))
    counts = {"images": len(split), "skipped_damaged": split.skipped_damaged}
    return {**meter.figures(), **counts, "split_sha256": split.sha256}
