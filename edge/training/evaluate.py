"""Accuracy of a network in memory on a split: what `edge train` logs and `edge eval CHECKPOINT` prints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from edge.data.splits import Split
from edge.port import DescribedPort
from edge.tasks.accuracy import Advance, Pixels, accuracy, no_progress
from edge.tasks.table import TASKS
from edge.tasks.task import ModelFacts
from edge.training.batches import Normalizer
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

BATCH_SIZE = 8


def evaluate(
    model: nn.Module, split: Split, preprocess: Preprocess, *, advance: Advance = no_progress
) -> dict[str, Any]:
    """Evaluate in evaluation mode, float32, at the model's input size; the model's mode is put back afterwards.

    Args:
        advance: called with the number of images done since the last call.

    Returns:
        See `edge.tasks.accuracy.accuracy`.
    """
    training = model.training
    model.eval()
    try:
        return accuracy(
            split,
            module_predictions(model, preprocess, split.task),
            batch_size=BATCH_SIZE,
            independent=split.scores == "independent",
            advance=advance,
        )
    finally:
        model.train(training)


def module_predictions(
    model: nn.Module, preprocess: Preprocess, task: str
) -> Callable[[list[Pixels]], list[np.ndarray[Any, Any]]]:
    """A network's predictions of frames: class scores (classes,) or class maps of the frames' sizes."""
    normalize = Normalizer(preprocess)
    device = next(model.parameters()).device

    def predict(frames: list[Pixels]) -> list[np.ndarray[Any, Any]]:
        pixels = torch.from_numpy(np.stack([resize(frame, preprocess) for frame in frames]))
        with torch.inference_mode():
            outputs = model(normalize(pixels.to(device))).float().cpu().numpy()
        if outputs.ndim == 2:  # scores of images, counted as they are
            return list(outputs)
        shape = (1, *outputs.shape[1:])
        logits = DescribedPort(
            name="logits", shape=shape, dtype="float32", layout="nchw", meaning="logits", scores="exclusive"
        )
        facts = ModelFacts(outputs=(logits,), names=(), preprocess=preprocess)
        return [
            TASKS[task].values((one[None],), facts, (frame.shape[0], frame.shape[1]))
            for one, frame in zip(outputs, frames, strict=True)
        ]

    return predict
