"""Accuracy of a network in memory on a split: what `edge train` logs and `edge eval CHECKPOINT` prints."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge.data.splits import Split
from edge.errors import UsageError
from edge.evaluation.segmentation import ConfusionMatrix
from edge.training.batches import Normalizer
from edge.training.losses import NO_CLASS, resize_logits
from edge.vision.preprocess import Preprocess, placement, resize

Advance = Callable[[int], None]
BATCH_SIZE = 8


def evaluate(
    model: nn.Module, split: Split, preprocess: Preprocess, *, advance: Advance = lambda count: None
) -> dict[str, Any]:
    """Evaluate in evaluation mode, float32, at the model's input size; the model's mode is put back afterwards.

    Returns:
        Classification: `top1`, `top5` (in [0, 1]). Segmentation: `miou`, `iou` by class name (None where a class
        occurs neither in truth nor prediction), `pixel_accuracy`; masks are compared at their own resolution, logits
        enlarged bilinearly before the arg max. Both: `images`, `split_sha256`.

    Args:
        advance: called with the number of images done since the last call.
    """
    if split.task not in EVALUATORS:
        raise UsageError(f"{split.origin}: has no labels or masks to evaluate on")
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            metrics = EVALUATORS[split.task](model, split, preprocess, advance)
    finally:
        model.train(training)
    return {**metrics, "images": len(split), "split_sha256": split.sha256}


def _classify(model: nn.Module, split: Split, preprocess: Preprocess, advance: Advance) -> dict[str, Any]:
    top1 = top5 = 0
    for indices, logits in _outputs(model, split, preprocess):
        for index, scores in zip(indices, logits.numpy(), strict=True):
            # Position of the true class when sorted by score; equal scores go by the lower index.
            label = split.label(index)
            ahead = int((scores > scores[label]).sum() + (scores[:label] == scores[label]).sum())
            top1 += ahead < 1
            top5 += ahead < 5
        advance(len(indices))
    return {"top1": top1 / len(split), "top5": top5 / len(split)}


def _segment(model: nn.Module, split: Split, preprocess: Preprocess, advance: Advance) -> dict[str, Any]:
    matrix = ConfusionMatrix(len(split.classes), NO_CLASS)
    for indices, logits in _outputs(model, split, preprocess):
        enlarged = resize_logits(logits, (preprocess.height, preprocess.width))
        for index, one in zip(indices, enlarged, strict=True):
            mask = split.mask(index)
            truth, predicted = _at_mask_size(mask, one, preprocess)
            if split.ignore_index is not None:
                truth = np.where(truth == split.ignore_index, np.uint8(NO_CLASS), truth)
            matrix.add(truth, predicted)
        advance(len(indices))
    score = matrix.score()
    return {
        "miou": score.mean_iou,
        "pixel_accuracy": score.pixel_accuracy,
        "iou": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(split.classes, score.iou, strict=True)
        },
    }


EVALUATORS: dict[str, Callable[[nn.Module, Split, Preprocess, Advance], dict[str, Any]]] = {
    "classify": _classify,
    "segment": _segment,
}


def _at_mask_size(
    mask: NDArray[np.uint8], logits: torch.Tensor, preprocess: Preprocess
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The part of the mask that the model saw, and the class map over it at the mask's resolution."""
    place = placement((mask.shape[0], mask.shape[1]), preprocess)
    seen = mask[place.top : place.top + place.height, place.left : place.left + place.width]
    inside = logits[
        None, :, place.to_top : place.to_top + place.to_height, place.to_left : place.to_left + place.to_width
    ]
    return seen, resize_logits(inside, (place.height, place.width))[0].argmax(dim=0).numpy()


def _outputs(model: nn.Module, split: Split, preprocess: Preprocess) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Sample indices and float32 logits, batch by batch; the next batch is decoded while the model runs."""
    normalize = Normalizer(preprocess)
    device = next(model.parameters()).device

    def pixels(indices: list[int]) -> torch.Tensor:
        return torch.from_numpy(np.stack([resize(split.image(index), preprocess) for index in indices]))

    groups = [list(range(start, min(start + BATCH_SIZE, len(split)))) for start in range(0, len(split), BATCH_SIZE)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pixels, groups[0])
        for position, indices in enumerate(groups):
            ready = waiting.result()
            if position + 1 < len(groups):
                waiting = pool.submit(pixels, groups[position + 1])
            yield indices, model(normalize(ready.to(device))).float().cpu()
